"""What the delivery log says after ``kill -9`` of control: nothing waits for ever, nothing said is untrue.

What it says of streams is part of ``test_nats_chaos``, and of ``test_unanswered_deliveries``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.control_process import API
from tests.support.queues import QueuePlatform, connected, queue_platform
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow

_MESSAGES = 60
_BEFORE_THE_KILL = 25
_ABOUT_100_MS = "def answered(event):\n    time.sleep(0.06 + time.time_ns() % 80 / 1000)\n    return 'ok'\n"
"""Longer than the log gathers what it is told, so that each message has a line before it is acknowledged."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("killed")) as running:
        yield running


def kill_control_after(platform: QueuePlatform, function: str, handled: int) -> None:
    """Kill it as soon as so many messages were handled, some of which it has acknowledged and not written down."""
    wait_until(lambda: len(platform.calls(function, "end")) >= handled, DEADLINE, what=f"{handled} messages")
    before = wait_until(lambda: platform.processes()["control"])
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.processes()["control"] not in (0, before), DEADLINE, what="another control")


def logged(platform: QueuePlatform, trigger: str) -> list[dict[str, object]]:
    """The log once control answers."""
    found: list[dict[str, object]] = []

    def read() -> bool:
        with suppress(OSError):
            found[:] = platform.deliveries(trigger, limit=1000)
            return True
        return False

    wait_until(read, DEADLINE, what="the log")
    return found


def settled(platform: QueuePlatform, trigger: str, seconds: float = 60) -> list[dict[str, object]]:
    """The log once nothing in it is under way any more."""
    wait_until(
        lambda: all(one["status"] != "pending" for one in logged(platform, trigger)),
        seconds,
        what=f"an end of {[one for one in logged(platform, trigger) if one['status'] == 'pending']}",
    )
    return logged(platform, trigger)


def handled(platform: QueuePlatform, function: str, number: int) -> None:
    def all_of_them() -> bool:
        return {call.body for call in platform.calls(function, "end")} >= {str(one) for one in range(number)}

    wait_until(all_of_them, DEADLINE, what=f"{number} different messages")


def test_messages_that_no_stream_keeps_have_failed_as_far_as_anybody_knows(platform: QueuePlatform) -> None:
    function = platform.deploy("def answered(event):\n    time.sleep(5)\n")
    trigger = platform.trigger(function, "unkept")

    async def publish() -> None:
        async with connected(platform.url) as (client, _):
            await client.publish("unkept", b"once")
            await client.flush()

    asyncio.run(publish())
    wait_until(lambda: [one["status"] for one in logged(platform, trigger)] == ["pending"], DEADLINE)
    kill_control_after(platform, function, 0)

    (one,) = settled(platform, trigger)
    assert (one["status"], one["body"]) == ("failed", "once")
    assert "no stream has the message" in str(one["error"])
    answer = platform.api.request(
        "POST", f"/fnkit/v1/regions/fr-par/triggers/{trigger}/replay", {"ids": [one["id"]]}
    ).ok()
    assert (answer["skipped"], len(list(answer["replayed"]))) == ([], 1)  # type: ignore[call-overload]  # a list


def test_messages_of_a_queue_that_do_not_appear_again_are_said_to_be_unknown(platform: QueuePlatform) -> None:
    function = platform.deploy(_ABOUT_100_MS, max_scale=10)
    with running_sqs("fauxqs") as server:
        client = server.client()
        url = client.create_queue(QueueName="killed", Attributes={"VisibilityTimeout": "3"})["QueueUrl"]
        config = {"endpoint": server.endpoint, "queue_url": url, "access_key": "A", "secret_key": "S"}
        body = {"name": "killed", "function_id": function, "sqs_config": config}
        trigger = str(platform.api.request("POST", f"{API}/triggers", body).ok()["id"])
        for number in range(_MESSAGES):
            client.send_message(QueueUrl=url, MessageBody=str(number))
        kill_control_after(platform, function, _BEFORE_THE_KILL)
        handled(platform, function, _MESSAGES)

        def nothing_waits() -> bool:
            if len(platform.calls(function, "end")) >= len(sent):  # else a request waits for it for 20 s
                sent.append(client.send_message(QueueUrl=url, MessageBody="one more"))
            return all(one["status"] != "pending" or one["body"] == "one more" for one in logged(platform, trigger))

        sent = platform.calls(function, "end")
        wait_until(nothing_waits, what="an end of every message")
        rows = [one for one in logged(platform, trigger) if one["body"] != "one more"]

    assert {one["status"] for one in rows} <= {"succeeded", "unknown"}
    unknown = [one for one in rows if one["status"] == "unknown"]
    assert all("no longer delivers the message" in str(one["error"]) for one in unknown)
    assert all(not one["error"] for one in rows if one["status"] == "succeeded")
    path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/deliveries"
    page = platform.api.request("GET", path, query={"status": "unknown", "limit": 1000}).ok()
    assert page["deliveries"] == unknown
    assert page["total"] == len(unknown)


def test_a_message_that_was_purged_in_our_hands_ends_too(platform: QueuePlatform) -> None:
    function = platform.deploy("def answered(event):\n    return {'statusCode': 500}\n")

    async def scenario() -> str:
        async with connected(platform.url) as (_, stream):
            await stream.add_stream(name="PURGED", subjects=["purged"])
            trigger = await asyncio.to_thread(platform.trigger, function, "purged")
            await stream.publish("purged", b"gone")
            await asyncio.to_thread(platform.wait_for, function, 1)
            await stream.purge_stream("PURGED")
            return trigger

    (one,) = settled(platform, asyncio.run(scenario()))
    assert one["status"] in ("unknown", "dead"), one
