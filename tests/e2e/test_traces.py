"""Trace export of a whole platform: --otlp, and OpenTelemetry's variables, which are not stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.control_process import api_client, zip_archive
from tests.support.metrics import scrape
from tests.support.otlp_collector import running_collector
from tests.support.platform import call_function, running_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long


def test_otel_variables_configure_the_export_and_are_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=s3cret-value")
        with running_platform(tmp_path / "home", "--public-metrics") as platform:
            api = api_client(platform)
            function = api.create_function(api.create_namespace("shop")["id"])
            function = api.deploy(function["id"], zip_archive())
            assert call_function(platform, str(function["domain_name"])).status == 200
            assert scrape(platform.api_url).value("fnkit_otlp_spans_total", result="dropped") == 0
            wait_until(collector.server_spans)  # the export at shutdown is limited to three seconds
        (span,) = collector.server_spans()
        assert span.resource["service.namespace"] == "shop"
        assert collector.exports[0].headers["x-key"] == "s3cret-value"
    contents = [file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert not any(b"s3cret-value" in content for content in contents)


def test_start_fails_if_the_running_platform_exports_elsewhere(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home") as platform:
        result = platform.command("platform", "start", "--detach", "--otlp", "http://127.0.0.1:9")
        assert result.code == 1
        assert "with --otlp none instead of http://127.0.0.1:9/v1/traces" in result.stderr


def test_invalid_otlp_url_is_rejected_before_startup(tmp_path: Path) -> None:
    fnkit = Command({"FNKIT_HOME": str(tmp_path / "home")})
    result = fnkit("platform", "start", "--detach", "--otlp", "collector")
    assert result.code == 2
    assert "--otlp is not a valid URL of an OTLP/HTTP collector" in result.stderr
    assert not (tmp_path / "home").exists()
