"""Delivery endpoints on a complete platform: manual runs, replays, permissions, deletion and crashes."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import uuid
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from fnkit.platform.model.settings import DataLayout
from tests.integration.platform.test_cron_runs import create_cron, deployed_function, wait_for_deliveries
from tests.support.control_process import API, ControlProcess, api_client
from tests.support.platform import PlatformUnderTest
from tests.support.schedules import DISTANT_SCHEDULE
from tests.support.waiting import wait_until

PLATFORM_API = "/fnkit/v1/regions/fr-par"
MINUTE = 60.0
OTHER_PROJECT = "33333333-3333-3333-3333-333333333333"


@pytest.fixture
def api(manual_clock_platform: PlatformUnderTest) -> ControlProcess:
    return api_client(manual_clock_platform)


def create_key(platform: PlatformUnderTest, *options: str) -> dict[str, str]:
    made = platform.command("platform", "api-key", "create", "--json", *options).ok().json()
    return {"X-Auth-Token": str(made["secret_key"])}


@pytest.mark.slow
def test_manual_cron_run_is_one_delivery_and_can_be_replayed(api: ControlProcess) -> None:
    cron = create_cron(api, deployed_function(api, privacy="private"), args={"k": 1}, schedule=DISTANT_SCHEDULE)
    manual_run = api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/fire").ok()
    assert (manual_run["cause"], manual_run["status"], manual_run["body"]) == ("fire", "pending", '{"k":1}')
    (delivery,) = wait_for_deliveries(api, cron, 1)
    assert (delivery["id"], delivery["status"], delivery["http_status"]) == (manual_run["id"], "succeeded", 200)
    assert api.request("GET", f"{PLATFORM_API}/crons/{cron['id']}/deliveries/{delivery['id']}").ok() == delivery

    response = api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/replay", {"ids": [delivery["id"]]}).ok()
    newest, oldest = wait_for_deliveries(api, cron, 2)
    assert response["skipped"] == []
    assert (newest["cause"], newest["replay_of"], oldest["replayed_by"]) == ("replay", delivery["id"], newest["id"])


@pytest.mark.slow
def test_delivery_endpoints_check_permissions_region_and_parameters(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = api.create_function(api.create_namespace(f"rights-{uuid.uuid4().hex[:6]}")["id"])
    cron = create_cron(api, function)
    trigger = api.request(
        "POST", f"{API}/triggers", {"function_id": function["id"], "name": "jobs", "scw_sqs_config": {"queue": "q"}}
    ).ok()
    read_only, other_project = (
        create_key(manual_clock_platform, "--read-only"),
        create_key(manual_clock_platform, "--project-id", OTHER_PROJECT),
    )
    for kind, one in (("crons", cron), ("triggers", trigger)):
        path = f"{PLATFORM_API}/{kind}/{one['id']}"
        assert api.request("GET", f"{path}/deliveries", headers=read_only).ok()["deliveries"] == []
        assert api.request("POST", f"{path}/replay", {"status": "any"}, headers=read_only).status == 403
        assert api.request("GET", f"{path}/deliveries", headers=other_project).status == 404
        assert api.request("POST", f"{path}/replay", {"status": "any"}, headers=other_project).status == 404
        assert api.request("GET", f"{path}/deliveries", headers={"X-Auth-Token": "no"}).status == 401
        assert api.request("GET", f"{path.replace('fr-par', 'nl-ams')}/deliveries").status == 404
        assert api.request("GET", f"{path.replace('fr-par', 'mars')}/deliveries").status == 404
        assert api.request("GET", f"{path}/deliveries/nothing").message == "Delivery was not found"
        assert api.request("GET", f"{path}/deliveries", query={"status": "lost"}).status == 400
        assert api.request("GET", f"{path}/deliveries", query={"limit": "1001"}).status == 400
        assert api.request("POST", f"{path}/replay", {"status": "any"}).ok() == {"replayed": [], "skipped": []}
    assert api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/fire", headers=read_only).status == 403
    assert api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/fire", headers=other_project).status == 404
    assert api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/fire").status == 409
    api.request("DELETE", f"{API}/functions/{function['id']}").ok()
    api.wait_until_deleted("functions", function["id"])
    assert api.request("GET", f"{PLATFORM_API}/crons/{cron['id']}/deliveries").status == 404
    assert (
        api.request("GET", f"{PLATFORM_API}/triggers/{trigger['id']}/deliveries").message
        == "trigger does not exist"
    )


@pytest.mark.slow
def test_namespace_deletion_deletes_its_deliveries(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron = create_cron(api, function, schedule=DISTANT_SCHEDULE)
    api.request("POST", f"{PLATFORM_API}/crons/{cron['id']}/fire").ok()
    wait_for_deliveries(api, cron, 1)

    api.request("DELETE", f"{API}/namespaces/{function['namespace_id']}").ok()
    api.wait_until_deleted("namespaces", function["namespace_id"])

    with closing(sqlite3.connect(DataLayout(manual_clock_platform.home).database)) as store:
        remaining = store.execute("SELECT COUNT(*) FROM deliveries WHERE source_id = ?", (cron["id"],)).fetchone()
    assert remaining == (0,)


@pytest.mark.long
@pytest.mark.slow
def test_control_kills_during_clock_advance_skip_and_repeat_no_run(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    cron = create_cron(api, deployed_function(api))
    for delay in (0.0, 0.01, 0.05):
        status = manual_clock_platform.command("platform", "status", "--json").ok().json()
        advance = threading.Thread(target=_advance, args=(manual_clock_platform, 60 * MINUTE))
        advance.start()
        advance.join(delay)
        os.kill(int(status["processes"]["control"]), signal.SIGKILL)
        advance.join()
        wait_until(lambda: _is_healthy(api))
    manual_clock_platform.advance(MINUTE)

    def all_finished() -> list[datetime] | None:
        page = api.request("GET", f"{PLATFORM_API}/crons/{cron['id']}/deliveries", query={"limit": 1000}).ok()
        found = page["deliveries"]
        assert isinstance(found, list)
        if any(one["status"] == "pending" for one in found):
            return None
        return [datetime.fromisoformat(str(one["at"])) for one in reversed(found)]

    run_times = wait_until(all_finished) or []
    assert run_times == [run_times[0] + timedelta(minutes=number) for number in range(len(run_times))]
    assert len(run_times) >= 1
    api.request("DELETE", f"{API}/crons/{cron['id']}").ok()


def _advance(platform: PlatformUnderTest, seconds: float) -> None:
    try:
        platform.advance(seconds)
    except OSError:
        return  # control was killed during the request


def _is_healthy(api: ControlProcess) -> bool:
    try:
        return api.request("GET", "/healthz").status == 200
    except OSError:
        return False
