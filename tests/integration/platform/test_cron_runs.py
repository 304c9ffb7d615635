"""Cron runs on a complete platform with a manual clock."""

from __future__ import annotations

import json
import os
import signal
import uuid
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.control_process import API, ControlProcess, api_client, zip_archive
from tests.support.platform import PlatformUnderTest
from tests.support.schedules import DISTANT_SCHEDULE
from tests.support.waiting import wait_until

HANDLER = """
import json
calls = []
def handle(event, context):
    if event["httpMethod"] == "GET":
        return json.dumps(calls)
    headers = event["headers"]
    calls.append([event["path"], event["body"], headers.get("Content-Type"), headers.get("User-Agent")])
    return {"statusCode": 500 if "fail" in event["body"] else 200, "body": ""}
"""
MINUTE = 60.0


@pytest.fixture
def api(manual_clock_platform: PlatformUnderTest) -> ControlProcess:
    return api_client(manual_clock_platform)


def deployed_function(api: ControlProcess, **fields: object) -> dict[str, object]:
    namespace = api.create_namespace(f"cron-runs-{uuid.uuid4().hex[:6]}")
    function = api.create_function(namespace["id"], **{"max_scale": 1, **fields})
    ready = api.deploy(function["id"], zip_archive({"handler.py": HANDLER}))
    assert ready["status"] == "ready", ready
    return function


def create_cron(api: ControlProcess, function: dict[str, object], **fields: object) -> dict[str, object]:
    body = {"function_id": function["id"], "schedule": "* * * * *", **fields}
    created = api.request("POST", f"{API}/crons", body).ok()
    return api.wait_until_settled("crons", created["id"])


def list_deliveries(api: ControlProcess, cron: dict[str, object]) -> list[dict[str, object]]:
    history = api.request("GET", f"/fnkit/v1/regions/fr-par/crons/{cron['id']}/history", query={"limit": 100}).ok()
    deliveries = history["deliveries"]
    assert isinstance(deliveries, list)
    assert history["total"] == len(deliveries)
    return deliveries


def wait_for_deliveries(api: ControlProcess, cron: dict[str, object], count: int) -> list[dict[str, object]]:
    def all_finished() -> list[dict[str, object]] | None:
        deliveries = list_deliveries(api, cron)
        complete = len(deliveries) == count and all(one["status"] != "pending" for one in deliveries)
        return deliveries if complete else None

    return wait_until(all_finished) or []


@pytest.mark.slow
def test_cron_runs_once_per_scheduled_time_on_private_function(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api, privacy="private")
    cron = create_cron(api, function, args={"k": [1]}, name="every-minute")
    assert list_deliveries(api, cron) == []

    manual_clock_platform.advance(3 * MINUTE)
    deliveries = wait_for_deliveries(api, cron, 3)

    assert {d["status"] for d in deliveries} == {"succeeded"}
    assert {d["http_status"] for d in deliveries} == {200}
    assert {(d["kind"], d["name"], d["function"], d["attempts"]) for d in deliveries} == {
        ("cron", "every-minute", "hello", 1)
    }
    assert len({d["at"] for d in deliveries}) == 3
    assert all(str(d["at"]).endswith(":00.000000Z") for d in deliveries)
    api.request("PATCH", f"{API}/functions/{function['id']}", {"privacy": "public"}).ok()
    api.wait_until_settled("functions", function["id"])


@pytest.mark.slow
def test_cron_sends_its_arguments_as_json_post(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron = create_cron(api, function, args={"k": [1]})
    manual_clock_platform.advance(MINUTE)
    wait_for_deliveries(api, cron, 1)
    response = _call_function(manual_clock_platform, str(function["domain_name"]))

    assert json.loads(response) == [["/", '{"k":[1]}', "application/json", "ScalewayServerlessOrchestrator/1.0"]]


@pytest.mark.slow
def test_status_500_is_a_failed_delivery(manual_clock_platform: PlatformUnderTest, api: ControlProcess) -> None:
    cron = create_cron(api, deployed_function(api), args={"fail": True})
    manual_clock_platform.advance(MINUTE)
    delivery = wait_for_deliveries(api, cron, 1)[0]

    assert (delivery["status"], delivery["http_status"], delivery["attempts"]) == ("failed", 500, 1)


@pytest.mark.slow
def test_rescheduled_and_deleted_crons_skip_the_old_schedule(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    rescheduled, deleted = create_cron(api, function), create_cron(api, function)
    api.request("PATCH", f"{API}/crons/{rescheduled['id']}", {"schedule": DISTANT_SCHEDULE}).ok()
    api.wait_until_settled("crons", rescheduled["id"])
    api.request("DELETE", f"{API}/crons/{deleted['id']}").ok()
    other_cron = create_cron(api, function)
    manual_clock_platform.advance(2 * MINUTE)
    wait_for_deliveries(api, other_cron, 2)

    assert list_deliveries(api, rescheduled) == []
    assert api.is_deleted("crons", deleted["id"])


@pytest.mark.slow
def test_cron_of_undeployed_function_does_not_run(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    undeployed = create_cron(
        api, api.create_function(api.create_namespace(f"undeployed-{uuid.uuid4().hex[:6]}")["id"])
    )
    other_cron = create_cron(api, deployed_function(api))
    manual_clock_platform.advance(MINUTE)
    wait_for_deliveries(api, other_cron, 1)

    assert list_deliveries(api, undeployed) == []


@pytest.mark.slow
def test_cron_calls_the_previous_version_after_a_failed_deploy(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron = create_cron(api, function)
    assert api.deploy(function["id"], b"no archive at all")["status"] == "error"
    manual_clock_platform.advance(MINUTE)

    assert wait_for_deliveries(api, cron, 1)[0]["status"] == "succeeded"


@pytest.mark.slow
def test_namespace_deletion_deletes_its_crons(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron, other_cron = create_cron(api, function), create_cron(api, deployed_function(api))
    manual_clock_platform.advance(MINUTE)
    wait_for_deliveries(api, cron, 1)
    api.request("DELETE", f"{API}/namespaces/{function['namespace_id']}").ok()
    api.wait_until_deleted("namespaces", function["namespace_id"])
    manual_clock_platform.advance(MINUTE)
    wait_for_deliveries(api, other_cron, 2)

    assert api.is_deleted("crons", cron["id"])
    assert api.request("GET", f"/fnkit/v1/regions/fr-par/crons/{cron['id']}/deliveries").status == 404


@pytest.mark.slow
def test_control_restart_repeats_no_run_and_keeps_the_clock(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    cron = create_cron(api, deployed_function(api))
    manual_clock_platform.advance(2 * MINUTE)
    before = wait_for_deliveries(api, cron, 2)
    status = manual_clock_platform.command("platform", "status", "--json").ok().json()
    processes = status["processes"]
    assert isinstance(processes, dict)

    os.kill(int(processes["control"]), signal.SIGKILL)
    wait_until(lambda: _is_healthy(api))
    assert list_deliveries(api, cron) == before
    manual_clock_platform.advance(MINUTE)
    after = wait_for_deliveries(api, cron, 3)

    assert len({one["at"] for one in after}) == 3
    assert after[1:] == before


def _is_healthy(api: ControlProcess) -> bool:
    try:
        return api.request("GET", "/healthz").status == 200
    except OSError:
        return False


def _call_function(platform: PlatformUnderTest, host: str) -> bytes:
    url = urlsplit(platform.gateway_url)
    connection = HTTPConnection(str(url.hostname), url.port, timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    body = connection.getresponse().read()
    connection.close()
    return body
