"""``/metrics`` of a real platform: what Prometheus reads, who may read it, and what restarts do to it."""

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

from tests.support.calling import call_function
from tests.support.control_process import ControlProcess, api_of, archive, running_control
from tests.support.measuring import OPENMETRICS, scrape
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


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
    with running_platform(tmp_path_factory.mktemp("metrics") / "home", "--manual-clock") as platform:
        api = api_of(platform)
        function = api.function(api.namespace("shop")["id"])
        yield Deployed(platform, api, api.deployed(function["id"], archive()))


def test_requests_show_up_exactly_with_the_functions_names(deployed: Deployed) -> None:
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


def test_histograms_add_up_and_never_fall(deployed: Deployed) -> None:
    deployed.call()
    found = scrape(deployed.platform.api_url)
    for name in ("request_duration", "queue_duration", "cold_start_duration"):
        whole = f"fnkit_function_{name}_seconds"
        buckets = found.values(f"{whole}_bucket", **deployed.labels)
        assert len(buckets) > 10
        assert buckets == sorted(buckets)
        assert buckets[-1] == found.value(f"{whole}_count", **deployed.labels)


def test_it_speaks_openmetrics_to_whoever_asks_for_it(deployed: Deployed) -> None:
    deployed.call()
    found = scrape(deployed.platform.api_url, {"Accept": f"{OPENMETRICS},text/plain;q=0.5"})
    assert found.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert found.text.endswith("# EOF\n")
    assert found.value("fnkit_function_requests_total", **deployed.labels, code="200") is not None


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "application/openmetrics-text;version=abc", ";;=,"])
def test_it_speaks_the_text_format_to_everybody_else(deployed: Deployed, accept: str) -> None:
    found = scrape(deployed.platform.api_url, {"Accept": accept})
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_it_is_compressed_where_the_scraper_takes_it(deployed: Deployed) -> None:
    request = urllib.request.Request(f"{deployed.platform.api_url}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"fnkit_build_info" in gzip.decompress(answer.read())


def test_every_family_has_a_help_text_a_type_and_the_units_of_the_convention(deployed: Deployed) -> None:
    deployed.call()
    for family in scrape(deployed.platform.api_url).families:
        assert family.name.startswith("fnkit_")
        assert family.documentation.endswith("."), family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_mb", "_count")), family.name


def test_it_counts_the_apis_requests_by_operation_and_status(deployed: Deployed) -> None:
    url = deployed.platform.api_url
    before = scrape(url).value("fnkit_api_requests_total", operation="GetFunction", code="404") or 0
    for _ in range(3):
        deployed.api.request(
            "GET", "/functions/v1beta1/regions/fr-par/functions/00000000-0000-4000-8000-000000000000"
        )
    after = scrape(url)
    assert after.value("fnkit_api_requests_total", operation="GetFunction", code="404") == before + 3
    assert after.value("fnkit_api_request_duration_seconds_count", operation="GetFunction") is not None


def test_it_counts_what_crons_fired(deployed: Deployed) -> None:
    cron = {"function_id": deployed.function["id"], "schedule": "* * * * *", "args": {}, "name": "each"}
    deployed.api.request("POST", "/functions/v1beta1/regions/fr-par/crons", cron).ok()
    deployed.platform.advance(60)
    wait_until(
        lambda: (
            scrape(deployed.platform.api_url).value("fnkit_deliveries_total", kind="cron", result="succeeded") == 1
        ),
        20,
    )


def test_processes_are_measured(deployed: Deployed) -> None:
    found = scrape(deployed.platform.api_url)
    for process in ("control", "data-plane", "supervisor"):
        resident = found.value("fnkit_process_resident_memory_bytes", process=process)
        assert resident is not None
        assert resident > 5e6
        assert found.value("fnkit_process_cpu_seconds_total", process=process) is not None


def test_no_secret_is_in_it(deployed: Deployed) -> None:
    text = scrape(deployed.platform.api_url).text
    assert deployed.platform.secret_key not in text
    assert deployed.platform.access_key not in text


def test_a_killed_data_plane_counts_from_zero(deployed: Deployed) -> None:
    deployed.call()
    url = deployed.platform.api_url
    before = scrape(url).value("fnkit_process_start_time_seconds", process="data-plane")
    status = deployed.platform.command("platform", "status", "--json").ok().json()["processes"]
    assert isinstance(status, dict)
    os.kill(int(status["data_plane"]), signal.SIGKILL)

    def started_again() -> bool:
        started = scrape(url).value("fnkit_process_start_time_seconds", process="data-plane")
        return started is not None and before is not None and started > before

    wait_until(started_again)
    wait_until(lambda: deployed.platform.command("platform", "status", "--json").ok().json()["healthy"])
    assert deployed.call() == 200
    assert scrape(url).values("fnkit_function_requests_total", **deployed.labels) == [1]


def test_while_the_data_plane_is_away_control_answers_for_itself(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        control.request("GET", "/functions/v1beta1/regions/fr-par/runtimes").ok()
        found = scrape(f"http://127.0.0.1:{control.settings.api_port}")
    assert found.value("fnkit_data_plane_up") == 0
    assert found.value("fnkit_api_requests_total", operation="ListFunctionRuntimes", code="200") == 1
    assert not any("fnkit_function" in family.name or "gateway" in family.name for family in found.families)


def test_other_requests_are_counted_by_path(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        for path in ("/ready", "/loki/api/v1/tail", "/loki/api/v1/unknown"):
            control.request("GET", path)
        found = scrape(f"http://127.0.0.1:{control.settings.api_port}")
    counted = {sample.labels["operation"] for family in found.families for sample in family.samples
               if sample.name == "fnkit_api_requests_total"}  # fmt: skip
    # The health endpoint is polled until control has started.
    assert counted - {"/healthz"} == {"/ready", "/loki/api/v1/tail", "/loki/api/v1/{rest:path}"}


def test_the_series_of_a_deleted_function_end(deployed: Deployed) -> None:
    other = deployed.api.function(deployed.function["namespace_id"], name="brief")
    other = deployed.api.deployed(other["id"], archive())
    url, label = deployed.platform.api_url, {"function_id": str(other["id"])}
    assert scrape(url).samples(**label) != []
    deployed.api.request("DELETE", f"/functions/v1beta1/regions/fr-par/functions/{other['id']}").ok()
    wait_until(lambda: scrape(url).samples(**label) == [])


def asked(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/metrics", headers=headers), timeout=60
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_beyond_loopback_a_key_is_needed(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home", "--host", "0.0.0.0") as platform:
        key = platform.secret_key
        bound = platform.command(
            *("platform", "api-key", "create", "--json", "--project-id", "33333333-3333-3333-3333-333333333333")
        ).ok()
        reader = platform.command("platform", "api-key", "create", "--json", "--read-only").ok()
        statuses = [
            asked(platform.api_url, headers)
            for headers in (
                {},
                {"X-Auth-Token": "nope"},
                {"Authorization": "Bearer nope"},
                {"Authorization": f"Basic {key}"},
                {"X-Auth-Token": str(bound.json()["secret_key"])},
                {"X-Auth-Token": key},
                {"Authorization": f"Bearer {key}"},
                {"Authorization": f"bearer {reader.json()['secret_key']}"},
            )
        ]
        assert statuses == [401, 401, 401, 401, 403, 200, 200, 200]
