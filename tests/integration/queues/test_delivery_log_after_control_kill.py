"""The delivery log after ``kill -9`` of control: no delivery stays pending, and no recorded outcome is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from tests.support.control_process import API
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform, sleeping_handler
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.long

_MESSAGES = 60
_HANDLED_BEFORE_KILL = 25
_TAKES_ABOUT_100_MS = "def respond(event):\n    time.sleep(0.06 + time.time_ns() % 80 / 1000)\n    return 'ok'\n"
"""Longer than the interval between the delivery log's writes, so that each delivery is recorded before its
message is acknowledged."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("killed")) as running:
        yield running


def kill_control_after(platform: QueuePlatform, function: str, handled: int) -> None:
    """Kill control once that many messages are handled; some may be acknowledged but not recorded yet."""
    wait_until(lambda: len(platform.calls(function, "end")) >= handled, DEADLINE, what=f"{handled} messages")
    before = wait_until(lambda: platform.processes()["control"])
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.processes()["control"] not in (0, before), DEADLINE, what="restart of control")


def delivery_log(platform: QueuePlatform, trigger: str) -> list[dict[str, object]]:
    """Return the delivery log, retrying while control does not respond."""
    found: list[dict[str, object]] = []

    def read() -> bool:
        with suppress(OSError):
            found[:] = platform.deliveries(trigger, limit=1000)
            return True
        return False

    wait_until(read, DEADLINE, what="a response of control")
    return found


def finished_deliveries(platform: QueuePlatform, trigger: str, seconds: float = 60) -> list[dict[str, object]]:
    """Return the delivery log once no delivery is pending."""
    rows: list[dict[str, object]] = []

    def is_finished() -> bool:
        rows[:] = delivery_log(platform, trigger)  # these rows: a message may be redelivered at any time
        return all(one["status"] != "pending" for one in rows)

    wait_until(is_finished, seconds, what="an outcome of every delivery")
    return rows


def wait_until_handled(platform: QueuePlatform, function: str, number: int) -> None:
    def all_handled() -> bool:
        return {call.body for call in platform.calls(function, "end")} >= {str(one) for one in range(number)}

    wait_until(all_handled, DEADLINE, what=f"{number} different messages")


def test_interrupted_core_nats_delivery_is_unknown_and_replayable(platform: QueuePlatform) -> None:
    function = platform.deploy("def respond(event):\n    time.sleep(5)\n")
    trigger = platform.create_listening_trigger(function, "unpersisted")

    async def publish() -> None:
        async with connected_client(platform.url) as (client, _):
            await client.publish("unpersisted", b"once")
            await client.flush()

    asyncio.run(publish())
    wait_until(lambda: [one["status"] for one in delivery_log(platform, trigger)] == ["pending"], DEADLINE)
    kill_control_after(platform, function, 0)

    (one,) = finished_deliveries(platform, trigger)
    assert (one["status"], one["body"]) == ("unknown", "once")
    assert "before the outcome was recorded" in str(one["error"])
    response = platform.api.request(
        "POST", f"/fnkit/v1/regions/fr-par/triggers/{trigger}/replay", {"ids": [one["id"]]}
    ).ok()
    assert (response["skipped"], len(list(response["replayed"]))) == ([], 1)  # type: ignore[call-overload]  # a list


@contextmanager
def stream_with_messages(platform: QueuePlatform, function: str, number: int) -> Iterator[str]:
    """Create a stream, its trigger and messages; yields the trigger's id."""

    async def publish() -> None:
        async with connected_client(platform.url) as (_, stream):
            for one in range(number):
                await stream.publish("killed", b"%d" % one)

    async def add_stream() -> None:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="KILLED", subjects=["killed"])

    asyncio.run(add_stream())
    trigger = platform.create_listening_trigger(function, "killed")
    asyncio.run(publish())
    yield trigger


@contextmanager
def queue_with_messages(
    platform: QueuePlatform, function: str, number: int, visibility_seconds: int = 10
) -> Iterator[str]:
    """Create a queue, its trigger and messages; yields the trigger's id."""
    with running_sqs("fauxqs") as server:
        client = server.client()
        url = client.create_queue(QueueName="killed", Attributes={"VisibilityTimeout": str(visibility_seconds)})[
            "QueueUrl"
        ]
        config = {"endpoint": server.endpoint, "queue_url": url, "access_key": "A", "secret_key": "S"}
        body = {"name": "killed", "function_id": function, "sqs_config": config}
        trigger = str(platform.api.request("POST", f"{API}/triggers", body).ok()["id"])
        for one in range(number):
            client.send_message(QueueUrl=url, MessageBody=str(one))
        yield trigger


@pytest.mark.parametrize("messages", [stream_with_messages, queue_with_messages])
def test_interrupted_delivery_is_unknown_until_message_is_redelivered(
    platform: QueuePlatform, messages: Callable[[QueuePlatform, str, int], AbstractContextManager[str]]
) -> None:
    function = platform.deploy(sleeping_handler(3), max_scale=5)
    with messages(platform, function, 5) as trigger:
        wait_until(
            lambda: [one["status"] for one in delivery_log(platform, trigger)] == ["pending"] * 5,
            DEADLINE,
            what="five pending deliveries",
        )
        ids = {one["body"]: one["id"] for one in delivery_log(platform, trigger)}
        kill_control_after(platform, function, 0)

        # Neither broker delivers a message again within the first seconds.
        assert [one["status"] for one in delivery_log(platform, trigger)] == ["unknown"] * 5
        wait_until(
            lambda: [one["status"] for one in delivery_log(platform, trigger)] == ["succeeded"] * 5,
            DEADLINE,
            what="five redelivered messages",
        )
        assert {one["body"]: one["id"] for one in delivery_log(platform, trigger)} == ids
        assert set(platform.handled_bodies(function)) == ids.keys()


def test_sqs_messages_are_handled_and_unrecorded_outcomes_stay_unknown(platform: QueuePlatform) -> None:
    function = platform.deploy(_TAKES_ABOUT_100_MS, max_scale=10)
    with queue_with_messages(platform, function, _MESSAGES, visibility_seconds=3) as trigger:
        kill_control_after(platform, function, _HANDLED_BEFORE_KILL)
        wait_until_handled(platform, function, _MESSAGES)
        rows = finished_deliveries(platform, trigger)

    assert {one["status"] for one in rows} <= {"succeeded", "unknown"}
    unknown = [one for one in rows if one["status"] == "unknown"]
    assert all("before the outcome was recorded" in str(one["error"]) for one in unknown)
    assert all(not one["error"] for one in rows if one["status"] == "succeeded")
    path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/deliveries"
    page = platform.api.request("GET", path, query={"status": "unknown", "limit": 1000}).ok()
    assert page["deliveries"] == unknown
    assert page["total"] == len(unknown)
