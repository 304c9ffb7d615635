"""Platform settings: each has an option, and a second start compares the requested ones field by field."""

from __future__ import annotations

import msgspec
import pytest

from fnkit.cli.commands.platform_start import start
from fnkit.platform.model.settings import (
    LokiPushSettings,
    OtlpSettings,
    PlatformSettings,
    Quotas,
    find_difference,
    start_option,
)

ALL_SETTINGS = frozenset(PlatformSettings.__struct_fields__)


@pytest.mark.parametrize("name", PlatformSettings.__struct_fields__)
def test_every_setting_has_a_command_line_option_of_its_name(name: str) -> None:
    by_name = {one.name: one.opts for one in start.params}
    assert start_option(name).name in by_name[name]


def test_start_options_are_settings_or_options_of_the_command() -> None:
    of_the_command = {"detach", "timeout", "manual_clock", "data_dir"}
    of_every_command = {"as_json", "directory", "stage", "quiet", "verbose", "no_color"}
    assert {one.name for one in start.params} - ALL_SETTINGS == of_the_command | of_every_command


def test_equal_settings_have_no_difference() -> None:
    assert find_difference(PlatformSettings(), PlatformSettings(), ALL_SETTINGS) is None


def test_only_the_given_settings_are_compared() -> None:
    other = PlatformSettings(host="::1", speed=2.0)
    found = find_difference(PlatformSettings(), other, {"speed"})
    assert found is not None
    assert found.option.name == "--clock-speed"
    assert find_difference(PlatformSettings(), other, {"tls_port"}) is None


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (PlatformSettings(api_port=9000), "with --api-port 8480 instead of 9000"),
        (PlatformSettings(api_port=8480, speed=0.0), "with --clock-speed 1 instead of 0"),
        (PlatformSettings(api_port=8480, tls_port=8482), "with --tls-port none instead of 8482"),
        (
            PlatformSettings(api_port=8480, brokers_file="/b.toml"),
            "with --brokers those of the data directory instead of /b.toml",
        ),
        (
            PlatformSettings(api_port=8480, memory_budget_mb=1048576),
            "with --memory-budget half of this machine's memory instead of 1048576",
        ),
        (PlatformSettings(api_port=8480, scale_to_one_after=0.0), "with --scale-to-one-after 30 instead of 0"),
        (PlatformSettings(api_port=8480, verify_domains=True), "without --verify-domains"),
        (
            PlatformSettings(api_port=8480, quotas=Quotas(functions=None)),
            (
                "with --quota namespaces=100,functions=1000,memory=614400"
                " instead of namespaces=100,functions=none,memory=614400"
            ),
        ),
    ],
)
def test_difference_names_the_option_and_both_values(requested: PlatformSettings, message: str) -> None:
    assert str(find_difference(PlatformSettings(api_port=8480), requested, ALL_SETTINGS)) == message


def test_settings_contain_no_secret() -> None:
    assert not {"secret_key", "otlp", "loki_push", "queues", "environment"} & ALL_SETTINGS


def test_repr_of_secret_settings_hides_the_secret() -> None:
    secret = (("Authorization", "Bearer hidden"),)
    assert "hidden" not in repr(OtlpSettings(traces_url="http://x/hidden", environment=dict(secret)))
    assert "hidden" not in repr(LokiPushSettings(url="http://x", headers=secret))


def test_settings_round_trip_through_json() -> None:
    settings = PlatformSettings(tls_port=8482, quotas=Quotas(memory=None), cpu_limits="hard")
    assert msgspec.json.decode(msgspec.json.encode(settings), type=PlatformSettings) == settings
