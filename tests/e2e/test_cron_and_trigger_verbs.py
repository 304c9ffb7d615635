"""``fnkit cron`` and ``fnkit trigger`` against a real platform whose clock stands until it is moved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fnkit.client import Endpoint, FunctionsApi
from fnkit.deploy.status import live_crons, select_one
from fnkit.errors import ApiError
from fnkit.invoke.cron import invoke_as_cron
from tests.support.command import Command, Completed
from tests.support.control_process import API, api_client
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.schedules import DISTANT_MONTH, DISTANT_SCHEDULE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

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
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PlatformUnderTest, Path]]:
    """A platform with the project deployed, and the project's folder."""
    project = write_files(tmp_path_factory.mktemp("project"), {"fnkit.toml": SETTINGS, "handlers.py": HANDLERS})
    with running_platform(tmp_path_factory.mktemp("timetable"), "--manual-clock") as platform:
        platform.command("deploy", "--local", "--yes", cwd=project).ok()
        yield platform, project


def run(place: tuple[PlatformUnderTest, Path], *arguments: str) -> Completed:
    platform, project = place
    return platform.command(*arguments, "--local", cwd=project)


def deliveries(place: tuple[PlatformUnderTest, Path], name: str, status: str = "") -> list[dict[str, Any]]:
    """A cron's deliveries, asked of the API itself: the command is for what is tested."""
    api = api_client(place[0])
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


def settled(place: tuple[PlatformUnderTest, Path], name: str, count: int) -> list[dict[str, Any]]:
    """The deliveries of a cron once there are so many and none is under way."""

    def look() -> list[dict[str, Any]] | None:
        found = deliveries(place, name)
        return found if len(found) >= count and all(one["status"] != "pending" for one in found) else None

    return wait_until(look) or []


def test_the_crons_are_listed_with_their_next_and_last_firing(place: tuple[PlatformUnderTest, Path]) -> None:
    platform, _ = place
    platform.advance(300)
    settled(place, "often", 1)
    crons = run(place, "cron", "list", "--json").ok().json()["crons"]
    found = {one["name"]: one for one in crons}

    assert {(one["function"], name) for name, one in found.items()} == {
        *(("report", "often"), ("report", "yearly"), ("flaky", "poll")),
    }
    assert found["often"]["args"] == {"k": [1]}
    assert found["often"]["last"]["status"] == "succeeded"
    assert found["often"]["last"]["body"] == '{"k":[1]}'
    # By the platform's clock, which stands just behind the last tick, and not by this machine's.
    last, following = (
        datetime.fromisoformat(one) for one in (found["often"]["last"]["at"], found["often"]["next"])
    )
    assert following - last == timedelta(minutes=5)
    assert found["yearly"]["last"] is None
    assert str(found["yearly"]["next"]).endswith(f"-{DISTANT_MONTH:02}-01T00:00:00Z")


def test_a_failed_firing_is_shown_with_what_was_said_and_repeated(place: tuple[PlatformUnderTest, Path]) -> None:
    platform, project = place
    platform.advance(60)
    settled(place, "poll", 1)
    failed = (
        run(place, "cron", "history", "poll", "--failed", "--limit", "1", "--json").ok().json()["deliveries"][0]
    )
    assert (failed["status"], failed["http_status"], failed["attempts"]) == ("failed", 500, 1)
    assert failed["error"] == "HTTP 500: not yet"
    assert failed["body"] == '{"n":"é"}'
    total = len(deliveries(place, "poll", "failed"))

    again = run(place, "cron", "history", "poll", "--replay", str(failed["id"]), "--json")
    assert again.code == 1, again.stdout
    (repeated,) = again.json()["deliveries"]
    assert (repeated["cause"], repeated["replay_of"], repeated["status"]) == ("replay", failed["id"], "failed")

    settings = (project / "handlers.py").read_text()
    mended = settings.replace(
        "@function(memory=128)\ndef flaky", '@function(memory=128, env={"MENDED": "1"})\ndef flaky'
    )
    (project / "handlers.py").write_text(mended)
    run(place, "deploy", "--yes").ok()
    done = run(place, "cron", "history", "poll", "--replay-failed", "--json").ok().json()
    assert {one["status"] for one in done["deliveries"]} == {"succeeded"}
    assert {one["body"] for one in done["deliveries"]} == {'{"n":"é"}'}
    # The one that was repeated by hand is left out; its failed repetition is not.
    assert len(done["deliveries"]) == total
    assert failed["id"] not in {one["replay_of"] for one in done["deliveries"]}
    assert (
        run(place, "cron", "history", "poll", "--replay-failed").ok().stdout
        == "There are no deliveries to replay.\n"
    )


def test_several_are_repeated_at_once_in_either_way_of_writing_them(place: tuple[PlatformUnderTest, Path]) -> None:
    place[0].advance(120)
    one, other = (str(found["id"]) for found in settled(place, "poll", 2)[:2])
    for ids in (("--replay", one, other), ("--replay", one, "--replay", other)):
        done = run(place, "cron", "history", "poll", *ids, "--json").json()
        assert {repeated["replay_of"] for repeated in done["deliveries"]} == {one, other}
    lonely = run(place, "cron", "history", "poll", one, "--json")
    assert (lonely.code, lonely.json()["error"]["hint"]) == (2, "Put delivery IDs after --replay.")


def test_firing_by_hand_is_no_tick_and_says_what_became_of_it(place: tuple[PlatformUnderTest, Path]) -> None:
    platform, _ = place
    fired = run(place, "cron", "run", "yearly", "--json").ok().json()["delivery"]
    assert (fired["cause"], fired["status"], fired["http_status"]) == ("fire", "succeeded", 200)
    platform.advance(300)
    ticks = [one for one in deliveries(place, "often") if one["cause"] == "tick"]
    assert len({one["at"] for one in ticks}) == len(ticks)


def test_a_name_that_could_be_two_crons_is_refused_with_both(place: tuple[PlatformUnderTest, Path]) -> None:
    done = run(place, "cron", "run", "report", "--json")
    assert done.code == 2
    error = done.json()["error"]
    assert error["code"] == "ambiguous-name"
    assert "report/often" in error["hint"]
    assert "report/yearly" in error["hint"]


def test_a_name_of_nothing_names_what_there_is(place: tuple[PlatformUnderTest, Path]) -> None:
    error = run(place, "cron", "history", "nothing", "--json").json()["error"]
    assert error["code"] == "no-such-source"
    assert error["hint"] == "There are: flaky/poll, report/often, report/yearly."


def test_an_id_that_is_not_kept_is_named_and_fails(place: tuple[PlatformUnderTest, Path]) -> None:
    done = run(place, "cron", "history", "poll", "--replay", "nonsense", "--json")
    assert done.code == 1
    assert done.json()["skipped"] == [{"id": "nonsense", "reason": "it is no longer in the delivery log"}]


def test_triggers_are_listed_and_show_their_deliveries(place: tuple[PlatformUnderTest, Path]) -> None:
    (found,) = run(place, "trigger", "list", "--json").ok().json()["triggers"]
    assert (found["function"], found["kind"], found["address"]) == ("on-order", "sqs", "orders")
    assert (found["status"], found["listening"]["state"]) == ("ready", "idle")
    words = found["listening"]["words"]
    assert words.startswith("no [[sqs]] entry in ")
    assert f"idle: {words}" in " ".join(run(place, "trigger", "list").ok().stdout.split())
    shown = run(place, "trigger", "deliveries", "on-order", "--json").ok().json()
    assert shown == {"deliveries": [], "total": 0}


def test_where_crons_cannot_be_fired_the_function_is_called_with_a_token_of_its_own(
    place: tuple[PlatformUnderTest, Path],
) -> None:
    platform, _ = place
    endpoint = Endpoint(
        api_url=platform.api_url,
        secret_key=platform.secret_key,
        project_id=platform.project_id,
        region="fr-par",
        key_origin="test",
    )
    with FunctionsApi(endpoint) as api:
        firer = select_one(live_crons(api, "timetable"), "often", "cron")
        assert firer.function.privacy == "private"
        called = invoke_as_cron(api, firer.resource, firer.function)
        assert (called.status, called.http_status, called.body) == ("succeeded", 200, '{"k":[1]}')
        tokens = api.transport.get_absolute("/functions/v1beta1/regions/fr-par/tokens", dict)
        assert [one["description"] for one in tokens["tokens"] if one["status"] != "deleting"] == []


def test_scaleway_is_not_asked_for_a_log() -> None:
    endpoint = Endpoint(
        api_url="https://api.scaleway.com", secret_key="k", project_id="p", region="fr-par", key_origin="test"
    )
    with FunctionsApi(endpoint) as api:
        assert not api.deliveries.is_available
        with pytest.raises(ApiError, match="Scaleway does not record the deliveries"):
            api.deliveries.list_page("crons", "x")


def test_previews_ask_no_platform(project: Path, fnkit: Command) -> None:
    write_files(project, {"fnkit.toml": SETTINGS, "handlers.py": HANDLERS})
    every = fnkit("cron", "next", "--json", "--count", "2").ok().json()["crons"]
    assert {(one["function"], one["name"]) for one in every} == {
        *(("report", "often"), ("report", "yearly"), ("flaky", "poll")),
    }
    assert all(len(one["next"]) == 2 for one in every)
    (one,) = fnkit("cron", "next", "poll", "--json", "--count", "1").ok().json()["crons"]
    assert one["schedule"] == "* * * * *"
    assert len(fnkit("cron", "next", "report", "--json").ok().json()["crons"]) == 2


def test_a_typed_expression_is_previewed_in_utc_and_here(fnkit: Command) -> None:
    shown = fnkit("cron", "next", "0 12 29 2 *", "--count", "1", "--json", TZ="Asia/Tokyo").ok().json()
    (moment,) = shown["crons"][0]["next"]
    assert moment["utc"].endswith("-02-29T12:00:00Z")
    assert moment["local"].endswith("-02-29T21:00:00+09:00")
    assert "21:00 JST" in fnkit("cron", "next", "0 12 29 2 *", "--count", "1", TZ="Asia/Tokyo").ok().stdout
    wrong = fnkit("cron", "next", "61 * * * *", "--json")
    assert (wrong.code, wrong.json()["error"]["code"]) == (2, "bad-expression")
    nickname = fnkit("cron", "next", "@hourly", "--json")
    assert (nickname.code, nickname.json()["error"]["code"]) == (2, "bad-expression")
