"""``/metrics`` of a real platform: formats, values, authorization, and restarts."""

from __future__ import annotations

import gzip
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.control_process import ControlProcess, api_client, running_control, zip_archive
from tests.support.metrics import OPENMETRICS, scrape
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]


NO_KEY = {"X-Auth-Token": ""}


class Deployed(NamedTuple):
    platform: PlatformUnderTest
    api: ControlProcess
    function: dict[str, object]

    @property
    def labels(self) -> dict[str, str]:
        return {"function_id": str(self.function["id"])}

    def call(self) -> int:
        return call_function(self.platform, str(self.function["domain_name"])).status


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with running_platform(
        tmp_path_factory.mktemp("metrics") / "home", "--manual-clock", "--public-metrics"
    ) as platform:
        api = api_client(platform)
        function = api.create_function(api.create_namespace("shop")["id"])
        yield Deployed(platform, api, api.deploy(function["id"], zip_archive()))


def test_requests_are_counted_with_the_names_of_the_function(deployed: Deployed) -> None:
    assert [deployed.call() for _ in range(5)] == [200] * 5
    found = scrape(deployed.platform.api_url)
    names = {**deployed.labels, "function": str(deployed.function["name"]), "namespace": "shop", "region": "fr-par"}
    assert found.value("fnkit_function_requests_total", **names, code="200") == 5
    assert found.value("fnkit_function_request_duration_seconds_count", **names) == 5
    assert found.value("fnkit_function_instances", **names, state="idle") == 1
    assert found.value("fnkit_data_plane_up") == 1
    assert found.value("fnkit_build_duration_seconds_count", result="succeeded") == 1
    memory = found.value("fnkit_function_memory_bytes", **names)
    assert memory is not None
    assert memory > 100_000


def test_histogram_buckets_are_cumulative(deployed: Deployed) -> None:
    deployed.call()
    found = scrape(deployed.platform.api_url)
    for name in ("request_duration", "queue_duration", "cold_start_duration"):
        metric = f"fnkit_function_{name}_seconds"
        buckets = found.values(f"{metric}_bucket", **deployed.labels)
        assert len(buckets) > 10
        assert buckets == sorted(buckets)
        assert buckets[-1] == found.value(f"{metric}_count", **deployed.labels)


def test_openmetrics_is_returned_when_accepted(deployed: Deployed) -> None:
    deployed.call()
    found = scrape(deployed.platform.api_url, {"Accept": f"{OPENMETRICS},text/plain;q=0.5"})
    assert found.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert found.text.endswith("# EOF\n")
    assert found.value("fnkit_function_requests_total", **deployed.labels, code="200") is not None


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "application/openmetrics-text;version=abc", ";;=,"])
def test_text_format_is_returned_for_other_accept_headers(deployed: Deployed, accept: str) -> None:
    found = scrape(deployed.platform.api_url, {"Accept": accept})
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_response_is_gzipped_when_accepted(deployed: Deployed) -> None:
    request = urllib.request.Request(f"{deployed.platform.api_url}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"fnkit_build_info" in gzip.decompress(answer.read())


def test_metric_families_follow_the_naming_conventions(deployed: Deployed) -> None:
    deployed.call()
    for family in scrape(deployed.platform.api_url).families:
        assert family.name.startswith("fnkit_")
        assert family.documentation.endswith("."), family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_mb", "_count")), family.name


def test_api_requests_are_counted_by_operation_and_status(deployed: Deployed) -> None:
    url = deployed.platform.api_url
    before = scrape(url).value("fnkit_api_requests_total", operation="GetFunction", code="404") or 0
    for _ in range(3):
        deployed.api.request(
            "GET", "/functions/v1beta1/regions/fr-par/functions/00000000-0000-4000-8000-000000000000"
        )
    after = scrape(url)
    assert after.value("fnkit_api_requests_total", operation="GetFunction", code="404") == before + 3
    assert after.value("fnkit_api_request_duration_seconds_count", operation="GetFunction") is not None


def test_cron_deliveries_are_counted(deployed: Deployed) -> None:
    cron = {"function_id": deployed.function["id"], "schedule": "* * * * *", "args": {}, "name": "each"}
    deployed.api.request("POST", "/functions/v1beta1/regions/fr-par/crons", cron).ok()
    deployed.platform.advance(60)
    wait_until(
        lambda: (
            scrape(deployed.platform.api_url).value("fnkit_deliveries_total", kind="cron", result="succeeded") == 1
        ),
        20,
    )


def test_process_metrics_cover_every_process(deployed: Deployed) -> None:
    found = scrape(deployed.platform.api_url)
    for process in ("control", "data-plane", "supervisor"):
        resident = found.value("fnkit_process_resident_memory_bytes", process=process)
        assert resident is not None
        assert resident > 5e6
        assert found.value("fnkit_process_cpu_seconds_total", process=process) is not None


def test_metrics_contain_no_credentials(deployed: Deployed) -> None:
    text = scrape(deployed.platform.api_url).text
    assert deployed.platform.secret_key not in text
    assert deployed.platform.access_key not in text


@pytest.mark.long
def test_counters_restart_at_zero_after_a_data_plane_kill(deployed: Deployed) -> None:
    deployed.call()
    url = deployed.platform.api_url
    before = scrape(url).value("fnkit_process_start_time_seconds", process="data-plane")
    status = deployed.platform.command("platform", "status", "--json").ok().json()["processes"]
    assert isinstance(status, dict)
    os.kill(int(status["data_plane"]), signal.SIGKILL)

    def has_restarted() -> bool:
        started = scrape(url).value("fnkit_process_start_time_seconds", process="data-plane")
        return started is not None and before is not None and started > before

    wait_until(has_restarted)
    wait_until(lambda: deployed.platform.command("platform", "status", "--json").ok().json()["healthy"])
    assert deployed.call() == 200
    assert scrape(url).values("fnkit_function_requests_total", **deployed.labels) == [1]


def test_control_metrics_are_served_without_a_data_plane(tmp_path: Path) -> None:
    with running_control(tmp_path, public_metrics=True) as control:
        control.request("GET", "/functions/v1beta1/regions/fr-par/runtimes").ok()
        found = scrape(f"http://127.0.0.1:{control.settings.api_port}")
    assert found.value("fnkit_data_plane_up") == 0
    assert found.value("fnkit_api_requests_total", operation="ListFunctionRuntimes", code="200") == 1
    assert not any("fnkit_function" in family.name or "gateway" in family.name for family in found.families)


def test_other_requests_are_counted_by_path(tmp_path: Path) -> None:
    with running_control(tmp_path, public_metrics=True) as control:
        for path in ("/ready", "/loki/api/v1/tail", "/loki/api/v1/unknown"):
            control.request("GET", path)
        found = scrape(f"http://127.0.0.1:{control.settings.api_port}")
    counted = {sample.labels["operation"] for family in found.families for sample in family.samples
               if sample.name == "fnkit_api_requests_total"}  # fmt: skip
    # The health endpoint is polled until control has started.
    assert counted - {"/healthz"} == {"/ready", "/loki/api/v1/tail", "/loki/api/v1/{rest:path}"}


def test_series_of_a_deleted_function_disappear(deployed: Deployed) -> None:
    other = deployed.api.create_function(deployed.function["namespace_id"], name="brief")
    other = deployed.api.deploy(other["id"], zip_archive())
    url, label = deployed.platform.api_url, {"function_id": str(other["id"])}
    assert scrape(url).samples(**label) != []
    deployed.api.request("DELETE", f"/functions/v1beta1/regions/fr-par/functions/{other['id']}").ok()
    wait_until(lambda: scrape(url).samples(**label) == [])


def scrape_status(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/metrics", headers=headers), timeout=60
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_public_metrics_are_served_to_own_hosts_only(tmp_path: Path) -> None:
    """A web page whose name resolves to 127.0.0.1 sends its own name."""
    hosts = {"localhost:1": 200, "127.0.0.1": 200, "[::1]:8480": 200, "evil.example": 401, "[": 401, "": 401}
    with running_control(tmp_path, public_metrics=True) as public:
        found = {host: public.request("GET", "/metrics", headers={"Host": host, **NO_KEY}).status for host in hosts}
        with_key = public.request("GET", "/metrics", headers={"Host": "metrics.example"}).status
    with running_control(tmp_path) as closed:
        without_key = closed.request("GET", "/metrics", headers=NO_KEY).status

    assert found == hosts
    assert (with_key, without_key) == (200, 401)


@pytest.mark.long
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_metrics_need_a_key(tmp_path: Path, host: str) -> None:
    with running_platform(tmp_path / "home", "--host", host) as platform:
        key = platform.secret_key
        project_key = platform.command(
            *("platform", "api-key", "create", "--json", "--project-id", "33333333-3333-3333-3333-333333333333")
        ).ok()
        read_only_key = platform.command("platform", "api-key", "create", "--json", "--read-only").ok()
        statuses = [
            scrape_status(platform.api_url, headers)
            for headers in (
                {},
                {"X-Auth-Token": "nope"},
                {"Authorization": "Bearer nope"},
                {"Authorization": f"Basic {key}"},
                {"X-Auth-Token": str(project_key.json()["secret_key"])},
                {"X-Auth-Token": key},
                {"Authorization": f"Bearer {key}"},
                {"Authorization": f"bearer {read_only_key.json()['secret_key']}"},
            )
        ]
        assert statuses == [401, 401, 401, 401, 403, 200, 200, 200]
