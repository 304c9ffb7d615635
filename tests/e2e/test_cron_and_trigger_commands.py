"""``fnkit cron`` and ``fnkit trigger`` with a real platform on a manual clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.deploy.status import live_sources, select_one
from fnkit.errors import ApiError
from fnkit.invoke.cron import invoke_as_cron
from tests.support.command import Command, Completed
from tests.support.control_process import API, api_client
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.schedules import DISTANT_MONTH, DISTANT_SCHEDULE
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

SETTINGS = 'name = "timetable"\n'
HANDLERS = """
import os
from fnkit import cron, function, trigger

@cron("*/5 * * * *", args={"k": [1]}, name="often")
@cron("SCHEDULE", name="yearly")
@function(memory=128, privacy="private")
def report(event, context):
    return "done"

@cron("* * * * *", name="poll", args={"n": "é"})
@function(memory=128)
def flaky(event, context):
    return {"statusCode": 200 if os.environ.get("MENDED") else 500, "body": "not yet"}

@trigger(sqs="orders")
@function(memory=128)
def on_order(event, context):
    return "ok"
""".replace("SCHEDULE", DISTANT_SCHEDULE)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlatformUnderTest, Path]]:
    """A platform with the deployed project, and the project's directory."""
    project = write_files(tmp_path_factory.mktemp("project"), {"fnkit.toml": SETTINGS, "handlers.py": HANDLERS})
    with running_platform(tmp_path_factory.mktemp("timetable"), "--manual-clock", "--sqs-port", "none") as platform:
        platform.command("deploy", "--local", "--yes", cwd=project).ok()
        yield platform, project


def run(deployment: tuple[PlatformUnderTest, Path], *arguments: str) -> Completed:
    platform, project = deployment
    return platform.command(*arguments, "--local", cwd=project)


def deliveries(deployment: tuple[PlatformUnderTest, Path], name: str, status: str = "") -> list[dict[str, Any]]:
    """Return the deliveries of a cron from the API, so that they do not depend on the commands under test."""
    api = api_client(deployment[0])
    functions = api.request("GET", f"{API}/functions").ok()["functions"]
    assert isinstance(functions, list)
    lists = [
        api.request("GET", f"{API}/crons", query={"function_id": one["id"]}).ok()["crons"] for one in functions
    ]
    (found,) = [cron for crons in lists if isinstance(crons, list) for cron in crons if cron["name"] == name]
    query = {"limit": 1000, "status": status}
    page = api.request("GET", f"/fnkit/v1/regions/fr-par/crons/{found['id']}/deliveries", query=query).ok()
    assert isinstance(page["deliveries"], list)
    return page["deliveries"]


def wait_for_deliveries(deployment: tuple[PlatformUnderTest, Path], name: str, count: int) -> list[dict[str, Any]]:
    """Wait until a cron has at least ``count`` deliveries and none is pending, and return them."""

    def finished() -> list[dict[str, Any]] | None:
        found = deliveries(deployment, name)
        return found if len(found) >= count and all(one["status"] != "pending" for one in found) else None

    return wait_until(finished) or []


def test_cron_list_shows_next_and_last_run(deployment: tuple[PlatformUnderTest, Path]) -> None:
    platform, _ = deployment
    platform.advance(300)
    wait_for_deliveries(deployment, "often", 1)
    crons = run(deployment, "cron", "list", "--json").ok().json()["crons"]
    found = {one["name"]: one for one in crons}

    assert {(one["function"], name) for name, one in found.items()} == {
        *(("report", "often"), ("report", "yearly"), ("flaky", "poll")),
    }
    assert found["often"]["args"] == {"k": [1]}
    assert found["often"]["last"]["status"] == "succeeded"
    assert found["often"]["last"]["body"] == '{"k":[1]}'
    # Relative to the platform's clock, which was advanced just past the last run.
    last, following = (
        datetime.fromisoformat(one) for one in (found["often"]["last"]["at"], found["often"]["next"])
    )
    assert following - last == timedelta(minutes=5)
    assert found["yearly"]["last"] is None
    assert str(found["yearly"]["next"]).endswith(f"-{DISTANT_MONTH:02}-01T00:00:00Z")


def test_no_failure_is_not_called_no_delivery(deployment: tuple[PlatformUnderTest, Path]) -> None:
    run(deployment, "cron", "run", "report/yearly", "--json").ok()
    total = len(deliveries(deployment, "yearly"))
    verb = "is" if total == 1 else "are"
    shown = run(deployment, "cron", "history", "report/yearly", "--failed").ok()
    assert shown.stdout == f"No delivery failed; there {verb} {total} in all.\n"
    assert (
        run(deployment, "trigger", "deliveries", "on-order", "--failed").ok().stdout == "There are no deliveries.\n"
    )


@pytest.mark.long
def test_failed_run_is_shown_with_its_error_and_can_be_replayed(deployment: tuple[PlatformUnderTest, Path]) -> None:
    platform, project = deployment
    platform.advance(60)
    wait_for_deliveries(deployment, "poll", 1)
    failed = (
        run(deployment, "cron", "history", "poll", "--failed", "--limit", "1", "--json")
        .ok()
        .json()["deliveries"][0]
    )
    assert (failed["status"], failed["http_status"], failed["attempts"]) == ("failed", 500, 1)
    assert failed["error"] == "HTTP 500: not yet"
    assert failed["body"] == '{"n":"é"}'
    total = len(deliveries(deployment, "poll", "failed"))

    again = run(deployment, "cron", "history", "poll", "--replay", str(failed["id"]), "--json")
    assert again.code == 1, again.stdout
    (repeated,) = again.json()["deliveries"]
    assert (repeated["cause"], repeated["replay_of"], repeated["status"]) == ("replay", failed["id"], "failed")

    settings = (project / "handlers.py").read_text()
    mended = settings.replace(
        "@function(memory=128)\ndef flaky", '@function(memory=128, env={"MENDED": "1"})\ndef flaky'
    )
    (project / "handlers.py").write_text(mended)
    run(deployment, "deploy", "--yes").ok()
    done = run(deployment, "cron", "history", "poll", "--replay-failed", "--json").ok().json()
    assert {one["status"] for one in done["deliveries"]} == {"succeeded"}
    assert {one["body"] for one in done["deliveries"]} == {'{"n":"é"}'}
    # The delivery that was replayed before is skipped; its failed replay is not.
    assert len(done["deliveries"]) == total
    assert failed["id"] not in {one["replay_of"] for one in done["deliveries"]}
    assert (
        run(deployment, "cron", "history", "poll", "--replay-failed").ok().stdout
        == "There are no deliveries to replay.\n"
    )


def test_replay_accepts_several_ids_after_one_or_more_options(deployment: tuple[PlatformUnderTest, Path]) -> None:
    deployment[0].advance(120)
    one, other = (str(found["id"]) for found in wait_for_deliveries(deployment, "poll", 2)[:2])
    for ids in (("--replay", one, other), ("--replay", one, "--replay", other)):
        done = run(deployment, "cron", "history", "poll", *ids, "--json").json()
        assert {repeated["replay_of"] for repeated in done["deliveries"]} == {one, other}
    without_option = run(deployment, "cron", "history", "poll", one, "--json")
    assert (without_option.code, without_option.json()["error"]["hint"]) == (2, "Put delivery IDs after --replay.")


def test_manual_run_reports_its_outcome_and_is_no_scheduled_run(deployment: tuple[PlatformUnderTest, Path]) -> None:
    platform, _ = deployment
    fired = run(deployment, "cron", "run", "yearly", "--json").ok().json()["delivery"]
    assert (fired["cause"], fired["status"], fired["http_status"]) == ("fire", "succeeded", 200)
    platform.advance(300)
    ticks = [one for one in deliveries(deployment, "often") if one["cause"] == "tick"]
    assert len({one["at"] for one in ticks}) == len(ticks)


def test_ambiguous_cron_name_error_lists_both_crons(deployment: tuple[PlatformUnderTest, Path]) -> None:
    done = run(deployment, "cron", "run", "report", "--json")
    assert done.code == 2
    error = done.json()["error"]
    assert error["code"] == "ambiguous-name"
    assert "report/often" in error["hint"]
    assert "report/yearly" in error["hint"]


def test_unknown_cron_name_error_lists_all_crons(deployment: tuple[PlatformUnderTest, Path]) -> None:
    error = run(deployment, "cron", "history", "nothing", "--json").json()["error"]
    assert error["code"] == "no-such-source"
    assert error["hint"] == "There are: flaky/poll, report/often, report/yearly."


def test_replay_of_an_unknown_id_fails_and_names_it(deployment: tuple[PlatformUnderTest, Path]) -> None:
    done = run(deployment, "cron", "history", "poll", "--replay", "nonsense", "--json")
    assert (done.code, done.json()["error"]["code"]) == (1, "no-such-delivery")
    assert "nonsense" in done.json()["error"]["message"]
    unknown = "11111111-2222-4333-8444-555555555555"
    done = run(deployment, "cron", "history", "poll", "--replay", unknown, "--json")
    assert done.code == 1
    assert done.json()["skipped"] == [{"id": unknown, "reason": "it is no longer in the delivery log"}]


def test_trigger_list_and_deliveries_show_the_declared_trigger(deployment: tuple[PlatformUnderTest, Path]) -> None:
    (found,) = run(deployment, "trigger", "list", "--json").ok().json()["triggers"]
    assert (found["function"], found["kind"], found["address"]) == ("on-order", "sqs", "orders")
    assert (found["status"], found["listening"]["state"]) == ("ready", "idle")
    reason = found["listening"]["words"]
    assert reason.endswith("the platform's own is off (--sqs-port none)")
    assert f"idle: {reason}" in " ".join(run(deployment, "trigger", "list").ok().stdout.split())
    shown = run(deployment, "trigger", "deliveries", "on-order", "--json").ok().json()
    assert shown == {"deliveries": [], "total": 0}


def test_cron_call_uses_a_temporary_token_for_a_private_function(
    deployment: tuple[PlatformUnderTest, Path],
) -> None:
    platform, _ = deployment
    endpoint = Endpoint(
        api_url=platform.api_url,
        secret_key=platform.secret_key,
        project_id=platform.project_id,
        region="fr-par",
        key_origin="test",
    )
    with FunctionsApi(endpoint) as api:
        source = select_one(live_sources(api, "timetable", api.crons.list), "often", "cron")
        assert source.function.privacy == "private"
        called = invoke_as_cron(api, source.resource, source.function)
        assert (called.status, called.http_status, called.body) == ("succeeded", 200, '{"k":[1]}')
        tokens = api.transport.request("GET", "tokens", dict)
        assert [one["description"] for one in tokens["tokens"] if one["status"] != "deleting"] == []


def test_scaleway_has_no_delivery_log() -> None:
    endpoint = Endpoint(
        api_url="https://api.scaleway.com", secret_key="k", project_id="p", region="fr-par", key_origin="test"
    )
    with FunctionsApi(endpoint) as api:
        assert not api.deliveries.is_available
        with pytest.raises(ApiError, match="Scaleway does not record the deliveries"):
            api.deliveries.list_page("crons", "x")


def test_cron_next_needs_no_platform(project: Path, fnkit: Command) -> None:
    write_files(project, {"fnkit.toml": SETTINGS, "handlers.py": HANDLERS})
    all_crons = fnkit("cron", "next", "--json", "--count", "2").ok().json()["crons"]
    assert {(one["function"], one["name"]) for one in all_crons} == {
        *(("report", "often"), ("report", "yearly"), ("flaky", "poll")),
    }
    assert all(len(one["next"]) == 2 for one in all_crons)
    (one,) = fnkit("cron", "next", "poll", "--json", "--count", "1").ok().json()["crons"]
    assert one["schedule"] == "* * * * *"
    assert len(fnkit("cron", "next", "report", "--json").ok().json()["crons"]) == 2


def test_cron_next_shows_an_expression_in_utc_and_local_time(fnkit: Command) -> None:
    shown = fnkit("cron", "next", "0 12 29 2 *", "--count", "1", "--json", TZ="Asia/Tokyo").ok().json()
    (moment,) = shown["crons"][0]["next"]
    assert moment["utc"].endswith("-02-29T12:00:00Z")
    assert moment["local"].endswith("-02-29T21:00:00+09:00")
    assert "21:00 JST" in fnkit("cron", "next", "0 12 29 2 *", "--count", "1", TZ="Asia/Tokyo").ok().stdout
    wrong = fnkit("cron", "next", "61 * * * *", "--json")
    assert (wrong.code, wrong.json()["error"]["code"]) == (2, "bad-expression")
    nickname = fnkit("cron", "next", "@hourly", "--json")
    assert (nickname.code, nickname.json()["error"]["code"]) == (2, "bad-expression")
