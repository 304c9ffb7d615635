"""Deliveries over HTTP on a whole platform: who sees them, who may fire, and what a killed control leaves."""

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
from tests.integration.platform.test_cron_firing import deployed_function, finished, make_cron
from tests.support.control_process import API, ControlProcess, api_client
from tests.support.platform import PlatformUnderTest
from tests.support.schedules import DISTANT_SCHEDULE
from tests.support.waiting import wait_until

OWN = "/fnkit/v1/regions/fr-par"
MINUTE = 60.0
FOREIGN = "33333333-3333-3333-3333-333333333333"


@pytest.fixture
def api(manual_clock_platform: PlatformUnderTest) -> ControlProcess:
    return api_client(manual_clock_platform)


def key(platform: PlatformUnderTest, *options: str) -> dict[str, str]:
    made = platform.command("platform", "api-key", "create", "--json", *options).ok().json()
    return {"X-Auth-Token": str(made["secret_key"])}


@pytest.mark.slow
def test_a_firing_by_hand_is_one_delivery_and_can_be_repeated(api: ControlProcess) -> None:
    cron = make_cron(api, deployed_function(api, privacy="private"), args={"k": 1}, schedule=DISTANT_SCHEDULE)
    fired = api.request("POST", f"{OWN}/crons/{cron['id']}/fire").ok()
    assert (fired["cause"], fired["status"], fired["body"]) == ("fire", "pending", '{"k":1}')
    (one,) = finished(api, cron, 1)
    assert (one["id"], one["status"], one["http_status"]) == (fired["id"], "succeeded", 200)
    assert api.request("GET", f"{OWN}/crons/{cron['id']}/deliveries/{one['id']}").ok() == one

    answer = api.request("POST", f"{OWN}/crons/{cron['id']}/replay", {"ids": [one["id"]]}).ok()
    newest, oldest = finished(api, cron, 2)
    assert answer["skipped"] == []
    assert (newest["cause"], newest["replay_of"], oldest["replayed_by"]) == ("replay", one["id"], newest["id"])


@pytest.mark.slow
def test_rights_and_places_are_those_of_the_cron_itself(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = api.create_function(api.create_namespace(f"rights-{uuid.uuid4().hex[:6]}")["id"])
    cron = make_cron(api, function)
    trigger = api.request(
        "POST", f"{API}/triggers", {"function_id": function["id"], "name": "jobs", "scw_sqs_config": {"queue": "q"}}
    ).ok()
    readers, strangers = (
        key(manual_clock_platform, "--read-only"),
        key(manual_clock_platform, "--project-id", FOREIGN),
    )
    for kind, one in (("crons", cron), ("triggers", trigger)):
        path = f"{OWN}/{kind}/{one['id']}"
        assert api.request("GET", f"{path}/deliveries", headers=readers).ok()["deliveries"] == []
        assert api.request("POST", f"{path}/replay", {"status": "any"}, headers=readers).status == 403
        assert api.request("GET", f"{path}/deliveries", headers=strangers).status == 404
        assert api.request("POST", f"{path}/replay", {"status": "any"}, headers=strangers).status == 404
        assert api.request("GET", f"{path}/deliveries", headers={"X-Auth-Token": "no"}).status == 401
        assert api.request("GET", f"{path.replace('fr-par', 'nl-ams')}/deliveries").status == 404
        assert api.request("GET", f"{path.replace('fr-par', 'mars')}/deliveries").status == 404
        assert api.request("GET", f"{path}/deliveries/nothing").message == "Delivery was not found"
        assert api.request("GET", f"{path}/deliveries", query={"status": "lost"}).status == 400
        assert api.request("GET", f"{path}/deliveries", query={"limit": "1001"}).status == 400
        assert api.request("POST", f"{path}/replay", {"status": "any"}).ok() == {"replayed": [], "skipped": []}
    assert api.request("POST", f"{OWN}/crons/{cron['id']}/fire", headers=readers).status == 403
    assert api.request("POST", f"{OWN}/crons/{cron['id']}/fire", headers=strangers).status == 404
    assert api.request("POST", f"{OWN}/crons/{cron['id']}/fire").status == 409
    api.request("DELETE", f"{API}/functions/{function['id']}").ok()
    api.wait_until_deleted("functions", function["id"])
    assert api.request("GET", f"{OWN}/crons/{cron['id']}/deliveries").status == 404
    assert api.request("GET", f"{OWN}/triggers/{trigger['id']}/deliveries").message == "trigger does not exist"


@pytest.mark.slow
def test_a_namespace_takes_its_deliveries_with_it(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    function = deployed_function(api)
    cron = make_cron(api, function, schedule=DISTANT_SCHEDULE)
    api.request("POST", f"{OWN}/crons/{cron['id']}/fire").ok()
    finished(api, cron, 1)

    api.request("DELETE", f"{API}/namespaces/{function['namespace_id']}").ok()
    api.wait_until_deleted("namespaces", function["namespace_id"])

    with closing(sqlite3.connect(DataLayout(manual_clock_platform.home).database)) as store:
        kept = store.execute("SELECT COUNT(*) FROM deliveries WHERE source_id = ?", (cron["id"],)).fetchone()
    assert kept == (0,)


@pytest.mark.slow
def test_control_killed_again_and_again_while_the_clock_is_moved_loses_no_tick_and_repeats_none(
    manual_clock_platform: PlatformUnderTest, api: ControlProcess
) -> None:
    cron = make_cron(api, deployed_function(api))
    for delay in (0.0, 0.01, 0.05):
        status = manual_clock_platform.command("platform", "status", "--json").ok().json()
        moving = threading.Thread(target=_move, args=(manual_clock_platform, 60 * MINUTE))
        moving.start()
        moving.join(delay)
        os.kill(int(status["processes"]["control"]), signal.SIGKILL)
        moving.join()
        wait_until(lambda: _healthy(api))
    manual_clock_platform.advance(MINUTE)

    def all_ended() -> list[datetime] | None:
        page = api.request("GET", f"{OWN}/crons/{cron['id']}/deliveries", query={"limit": 1000}).ok()
        found = page["deliveries"]
        assert isinstance(found, list)
        if any(one["status"] == "pending" for one in found):
            return None
        return [datetime.fromisoformat(str(one["at"])) for one in reversed(found)]

    ticks = wait_until(all_ended) or []
    assert ticks == [ticks[0] + timedelta(minutes=number) for number in range(len(ticks))]
    assert len(ticks) >= 1
    api.request("DELETE", f"{API}/crons/{cron['id']}").ok()


def _move(platform: PlatformUnderTest, seconds: float) -> None:
    try:
        platform.advance(seconds)
    except OSError:
        return  # control was killed in the middle of it


def _healthy(api: ControlProcess) -> bool:
    try:
        return api.request("GET", "/healthz").status == 200
    except OSError:
        return False
