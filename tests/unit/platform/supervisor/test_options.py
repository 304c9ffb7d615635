"""The options of a start, and where ``--otlp`` and OpenTelemetry's variables send traces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fnkit.errors import PlatformError, UsageError
from fnkit.platform.model.settings import OtlpSettings, PlatformSettings, Quotas
from fnkit.platform.supervisor.options import RequestedPorts, find_conflict, otlp_settings, start_options

OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(
    ("given", "environ", "url"),
    [
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        ("http://c:4318/", {}, "http://c:4318/v1/traces"),
        ("https://c/otlp", {}, "https://c/otlp/v1/traces"),
        ("https://c/otlp/v1/traces", {}, "https://c/otlp/v1/traces"),
        ("http://c", {f"{OTLP}ENDPOINT": "http://other", "OTEL_SDK_DISABLED": "true"}, "http://c/v1/traces"),
        (None, {f"{OTLP}ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        (None, {f"{OTLP}TRACES_ENDPOINT": "http://c/mine", f"{OTLP}ENDPOINT": "http://d"}, "http://c/mine"),
        (None, {f"{OTLP}ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "console,otlp"}, "http://c/v1/traces"),
        (None, {f"{OTLP}ENDPOINT": "http://c", f"{OTLP}PROTOCOL": "http/protobuf"}, "http://c/v1/traces"),
    ],
)
def test_the_urls_path_is_completed_as_the_specification_says(
    given: str | None, environ: dict[str, str], url: str
) -> None:
    settings = otlp_settings(given, environ)
    assert settings is not None
    assert settings.traces_url == url


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {f"{OTLP}ENDPOINT": ""},
        {f"{OTLP}ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"},
        {f"{OTLP}ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"},
        {f"{OTLP}ENDPOINT": "http://c", f"{OTLP}PROTOCOL": "grpc"},
        {f"{OTLP}ENDPOINT": "http://c", f"{OTLP}TRACES_PROTOCOL": "grpc", f"{OTLP}PROTOCOL": "http/json"},
        {f"{OTLP}HEADERS": "a=b", "OTEL_SERVICE_NAME": "x"},
    ],
)
def test_without_an_endpoint_of_ours_nothing_is_exported(environ: dict[str, str]) -> None:
    assert otlp_settings(None, environ) is None


def test_the_variables_of_opentelemetry_are_passed_on_and_no_others() -> None:
    variables = {f"{OTLP}HEADERS": "Authorization=Basic%20abc=", "OTEL_SERVICE_NAME": "mine"}
    environ = {**variables, f"{OTLP}TIMEOUT": " ", "HOME": "/home/me"}
    assert otlp_settings("http://c", environ) == OtlpSettings(
        traces_url="http://c/v1/traces", environment=variables
    )


def test_without_the_extra_an_endpoint_is_an_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if not installed, whether another test has imported it or not.
    for name in ("http", "http.trace_exporter"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.{name}", None)
    assert otlp_settings(None, {}) is None
    with pytest.raises(PlatformError) as missing:
        otlp_settings("http://c", {})
    assert missing.value.code == "otel-missing"
    assert "'.[otel]'" in (missing.value.hint or "")


@pytest.mark.parametrize(
    "url", ["", "c:4318", "ftp://c", "http://", "http://c:99999", "http://c/#x", "http://a b", "http://ü", "//c"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--otlp is not a valid URL"):
        otlp_settings(url, {})


@pytest.mark.parametrize(
    "environ",
    [
        {f"{OTLP}ENDPOINT": "http://user:s3cret@c"},
        {f"{OTLP}ENDPOINT": "http://c?key=s3cret"},
    ],
)
def test_what_cannot_be_used_is_refused_without_being_repeated(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        otlp_settings(None, environ)
    assert "s3cret" not in f"{refused.value} {refused.value.hint}"
    assert OTLP in refused.value.message


def test_it_shows_nothing_of_itself() -> None:
    settings = OtlpSettings(traces_url="http://c/k3y", environment={"a": "s3cret"})
    assert repr(settings) == str(settings) == "OtlpSettings()"


def test_what_is_given_becomes_settings_in_one_step_and_the_rest_keeps_its_default() -> None:
    given: dict[str, object] = {"speed": 60.0, "quotas": {"functions": 1}, "memory_budget_mb": 4096, "host": "::1"}
    options = start_options(Path("/data"), given, {}, start_timeout=5.0)
    assert options.settings == PlatformSettings(
        speed=60.0, quotas=Quotas(functions=1), memory_budget_mb=4096, host="::1"
    )
    assert (options.data_dir, options.given, options.start_timeout) == ("/data", frozenset(given), 5.0)


def test_a_port_is_compared_only_when_it_is_a_certain_one() -> None:
    given: dict[str, object] = {"api_port": 9000, "gateway_port": 0, "tls_port": "none", "nats_port": 0}
    options = start_options(Path("/data"), given, {}, start_timeout=5.0)
    assert options.ports == RequestedPorts(api_port=9000, gateway_port=0, tls_port="none", nats_port=0)
    assert options.given == {"api_port", "tls_port"}
    assert find_conflict(options, PlatformSettings(api_port=9000, gateway_port=1, nats_port=2)) is None
    other = PlatformSettings(api_port=9000, tls_port=8482)
    assert str(find_conflict(options, other)) == "with --tls-port 8482 instead of none"


def test_a_collector_that_only_the_environment_names_is_used_and_not_compared() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "FNKIT_LOGS_PUSH_TOKEN": "hidden"}
    options = start_options(Path("/data"), {"loki_url": "http://u:hidden@loki:3100"}, environ, start_timeout=5.0)
    assert options.settings.otlp_url == "http://collector:4318/v1/traces"
    assert options.settings.loki_url == "http://loki:3100/loki/api/v1/push"
    assert options.given == {"loki_url"}
    assert options.loki_push is not None
    assert "hidden" in str(options.loki_push.headers)
    assert "hidden" not in str(options.settings)
