"""The options of a start, and the trace settings read from ``--otlp`` and OpenTelemetry's variables."""

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
def test_otlp_url_path_is_completed_as_specified(given: str | None, environ: dict[str, str], url: str) -> None:
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
def test_no_traces_are_exported_without_a_usable_endpoint(environ: dict[str, str]) -> None:
    assert otlp_settings(None, environ) is None


def test_only_opentelemetry_variables_are_passed_on() -> None:
    variables = {f"{OTLP}HEADERS": "Authorization=Basic%20abc=", "OTEL_SERVICE_NAME": "mine"}
    environ = {**variables, f"{OTLP}TIMEOUT": " ", "HOME": "/home/me"}
    assert otlp_settings("http://c", environ) == OtlpSettings(
        traces_url="http://c/v1/traces", environment=variables
    )


def test_missing_otel_extra_is_an_error_with_an_install_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Simulates a missing package, even if another test has imported it.
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
def test_invalid_otlp_url_is_rejected(url: str) -> None:
    with pytest.raises(UsageError, match="--otlp is not a valid URL"):
        otlp_settings(url, {})


@pytest.mark.parametrize(
    "environ",
    [
        {f"{OTLP}ENDPOINT": "http://user:s3cret@c"},
        {f"{OTLP}ENDPOINT": "http://c?key=s3cret"},
    ],
)
def test_unusable_endpoint_error_contains_no_secret(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as raised:
        otlp_settings(None, environ)
    assert "s3cret" not in f"{raised.value} {raised.value.hint}"
    assert OTLP in raised.value.message


def test_repr_of_otlp_settings_is_empty() -> None:
    settings = OtlpSettings(traces_url="http://c/k3y", environment={"a": "s3cret"})
    assert repr(settings) == str(settings) == "OtlpSettings()"


def test_given_options_become_settings_and_others_keep_defaults() -> None:
    given: dict[str, object] = {"speed": 60.0, "quotas": {"functions": 1}, "memory_budget_mb": 4096, "host": "::1"}
    options = start_options(Path("/data"), given, {}, start_timeout=5.0)
    assert options.settings == PlatformSettings(
        speed=60.0, quotas=Quotas(functions=1), memory_budget_mb=4096, host="::1"
    )
    assert (options.data_dir, options.given, options.start_timeout) == ("/data", frozenset(given), 5.0)


def test_only_fixed_ports_are_compared_with_a_running_platform() -> None:
    given: dict[str, object] = {
        "api_port": 9000,
        "gateway_port": 0,
        "tls_port": "none",
        "nats_port": 0,
        "sqs_port": "none",
    }
    options = start_options(Path("/data"), given, {}, start_timeout=5.0)
    assert options.ports == RequestedPorts(
        api_port=9000, gateway_port=0, tls_port="none", nats_port=0, sqs_port="none"
    )
    assert options.given == {"api_port", "tls_port", "sqs_port"}
    assert find_conflict(options, PlatformSettings(api_port=9000, gateway_port=1, nats_port=2)) is None
    other = PlatformSettings(api_port=9000, tls_port=8482)
    assert str(find_conflict(options, other)) == "with --tls-port 8482 instead of none"


def test_otlp_endpoint_of_the_environment_is_used_but_not_compared() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "FNKIT_LOGS_PUSH_TOKEN": "hidden"}
    options = start_options(Path("/data"), {"loki_url": "http://u:hidden@loki:3100"}, environ, start_timeout=5.0)
    assert options.settings.otlp_url == "http://collector:4318/v1/traces"
    assert options.settings.loki_url == "http://loki:3100/loki/api/v1/push"
    assert options.given == {"loki_url"}
    assert options.loki_push is not None
    assert "hidden" in str(options.loki_push.headers)
    assert "hidden" not in str(options.settings)
