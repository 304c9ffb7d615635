"""Crons on a whole platform whose clock stands until it is moved."""

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
    namespace = api.create_namespace(f"firing-{uuid.uuid4().hex[:6]}")
    function = api.create_function(namespace["id"], **{"max_scale": 1, **fields})
    ready = api.deploy(function["id"], zip_archive({"handler.py": HANDLER}))
    assert ready["status"] == "ready", ready
    return function


def make_cron(api: ControlProcess, function: dict[str, object], **fields: object) -> dict[str, object]:
    body = {"function_id": function["id"], "schedule": "* * * * *", **fields}
    created = api.request("POST", f"{API}/crons", body).ok()
    return api.wait_until_settled("crons", created["id"])


def fired(api: ControlProcess, cron: dict[str, object]) -> list[dict[str, object]]:
    history = api.request("GET", f"/fnkit/v1/regions/fr-par/crons/{cron['id']}/history", query={"limit": 100}).ok()
    deliveries = history["deliveries"]
    assert isinstance(deliveries, list)
    assert history["total"] == len(deliveries)
    return deliveries


def finished(api: ControlProcess, cron: dict[str, object], count: int) -> list[dict[str, object]]:
    def done() -> list[dict[str, object]] | None:
        deliveries = fired(api, cron)
        settled = len(deliveries) == count and all(one["status"] != "pending" for one in deliveries)
        return deliveries if settled else None

    return wait_until(done) or []


@pytest.mark.slow
def test_a_cron_posts_its_arguments_once_a_tick_also_to_a_private_function(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api, privacy="private")
    cron = make_cron(api, function, args={"k": [1]}, name="every-minute")
    assert fired(api, cron) == []

    manual_clock_platform.advance(3 * MINUTE)
    deliveries = finished(api, cron, 3)

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
def test_the_function_sees_a_post_of_json(manual_clock_platform: PlatformUnderTest, api: ControlProcess) -> None:
    function = deployed_function(api)
    cron = make_cron(api, function, args={"k": [1]})
    manual_clock_platform.advance(MINUTE)
    finished(api, cron, 1)
    answer = _call(manual_clock_platform, str(function["domain_name"]))

    assert json.loads(answer) == [["/", '{"k":[1]}', "application/json", "ScalewayServerlessOrchestrator/1.0"]]


@pytest.mark.slow
def test_an_answer_of_500_is_a_failed_delivery(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    cron = make_cron(api, deployed_function(api), args={"fail": True})
    manual_clock_platform.advance(MINUTE)
    delivery = finished(api, cron, 1)[0]

    assert (delivery["status"], delivery["http_status"], delivery["attempts"]) == ("failed", 500, 1)


@pytest.mark.slow
def test_a_changed_schedule_counts_from_now_and_a_deleted_cron_is_silent(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    slow, gone = make_cron(api, function), make_cron(api, function)
    api.request("PATCH", f"{API}/crons/{slow['id']}", {"schedule": DISTANT_SCHEDULE}).ok()
    api.wait_until_settled("crons", slow["id"])
    api.request("DELETE", f"{API}/crons/{gone['id']}").ok()
    witness = make_cron(api, function)
    manual_clock_platform.advance(2 * MINUTE)
    finished(api, witness, 2)

    assert fired(api, slow) == []
    assert api.is_deleted("crons", gone["id"])


@pytest.mark.slow
def test_a_cron_of_a_function_that_was_never_deployed_is_silent(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    idle = make_cron(api, api.create_function(api.create_namespace(f"idle-{uuid.uuid4().hex[:6]}")["id"]))
    witness = make_cron(api, deployed_function(api))
    manual_clock_platform.advance(MINUTE)
    finished(api, witness, 1)

    assert fired(api, idle) == []


@pytest.mark.slow
def test_a_failed_deploy_keeps_the_old_version_firing(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron = make_cron(api, function)
    assert api.deploy(function["id"], b"no archive at all")["status"] == "error"
    manual_clock_platform.advance(MINUTE)

    assert finished(api, cron, 1)[0]["status"] == "succeeded"


@pytest.mark.slow
def test_a_deleted_namespace_ends_its_crons(manual_clock_platform: PlatformUnderTest, api: ControlProcess) -> None:
    function = deployed_function(api)
    cron, witness = make_cron(api, function), make_cron(api, deployed_function(api))
    manual_clock_platform.advance(MINUTE)
    finished(api, cron, 1)
    api.request("DELETE", f"{API}/namespaces/{function['namespace_id']}").ok()
    api.wait_until_deleted("namespaces", function["namespace_id"])
    manual_clock_platform.advance(MINUTE)
    finished(api, witness, 2)

    assert api.is_deleted("crons", cron["id"])
    assert api.request("GET", f"/fnkit/v1/regions/fr-par/crons/{cron['id']}/deliveries").status == 404


@pytest.mark.slow
def test_a_killed_control_process_fires_no_tick_twice_and_keeps_the_time(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    cron = make_cron(api, deployed_function(api))
    manual_clock_platform.advance(2 * MINUTE)
    before = finished(api, cron, 2)
    status = manual_clock_platform.command("platform", "status", "--json").ok().json()
    processes = status["processes"]
    assert isinstance(processes, dict)

    os.kill(int(processes["control"]), signal.SIGKILL)
    wait_until(lambda: _healthy(api))
    assert fired(api, cron) == before
    manual_clock_platform.advance(MINUTE)
    after = finished(api, cron, 3)

    assert len({one["at"] for one in after}) == 3
    assert after[1:] == before


def _healthy(api: ControlProcess) -> bool:
    try:
        return api.request("GET", "/healthz").status == 200
    except OSError:
        return False


def _call(platform: PlatformUnderTest, host: str) -> bytes:
    url = urlsplit(platform.gateway_url)
    connection = HTTPConnection(str(url.hostname), url.port, timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    body = connection.getresponse().read()
    connection.close()
    return body
