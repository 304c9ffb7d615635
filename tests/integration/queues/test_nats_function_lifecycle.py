"""NATS triggers while their function is redeployed, fails or crashes, and which responses are failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.control_process import API
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform, sleeping_handler
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

RETURNS_BODY_AS_STATUS = "def respond(event):\n    return {'statusCode': int(event['body']), 'body': 'text'}\n"
CRASHES = "def respond(event):\n    if event['body'] == 'crash':\n        os._exit(3)\n    return 'ok'\n"
LONGER_THAN_ACK_WAIT = 11.0  # seconds


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("lifecycle")) as running:
        yield running


def publish(platform: QueuePlatform, subject: str, *bodies: str) -> None:
    """Publish to the stream named like the subject, and create it if it does not exist."""

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, streams):
            await streams.add_stream(name=subject, subjects=[subject])
            for body in bodies:
                await streams.publish(subject, body.encode())

    asyncio.run(scenario())


def finished_deliveries(platform: QueuePlatform, trigger: str, number: int) -> dict[object, dict[str, object]]:
    """Wait for that many deliveries and until none is pending; return them by body."""

    def finished() -> list[dict[str, object]] | None:
        found = platform.deliveries(trigger, limit=100)
        return found if len(found) == number and all(one["status"] != "pending" for one in found) else None

    return {one["body"]: one for one in wait_until(finished) or []}


def test_response_status_of_300_or_higher_is_a_failure(platform: QueuePlatform) -> None:
    function = platform.deploy(RETURNS_BODY_AS_STATUS, max_scale=10)
    publish(platform, "statuses")
    trigger = platform.create_listening_trigger(function, "statuses")
    succeeding, failing = ("200", "204", "299"), ("300", "301", "404", "413", "429", "502", "503")
    publish(platform, "statuses", *succeeding, *failing)
    found = finished_deliveries(platform, trigger, len(succeeding) + len(failing))
    assert {(found[code]["status"], found[code]["attempts"]) for code in succeeding} == {("succeeded", 1)}
    assert {(found[code]["status"], found[code]["attempts"]) for code in failing} == {("dead", 4)}
    assert all(str(found[code]["http_status"]) == code for code in (*succeeding, *failing))


def test_message_that_crashes_its_instance_is_dead_after_four_attempts(platform: QueuePlatform) -> None:
    function = platform.deploy(CRASHES, max_scale=1)
    publish(platform, "crashing")
    trigger = platform.create_listening_trigger(function, "crashing")
    publish(platform, "crashing", "crash", *map(str, range(20)))
    found = finished_deliveries(platform, trigger, 21)
    assert (found["crash"]["status"], found["crash"]["attempts"], found["crash"]["http_status"]) == ("dead", 4, 502)
    assert "exit 3" in str(found["crash"]["error"])
    assert Counter(platform.handled_bodies(function)) == Counter(map(str, range(20)))


def test_previous_version_receives_messages_after_failed_deploy(platform: QueuePlatform) -> None:
    function = platform.deploy()
    publish(platform, "failing")
    platform.create_listening_trigger(function, "failing")
    assert platform.api.deploy(function, b"no archive")["status"] == "error"
    publish(platform, "failing", "after")
    assert platform.wait_for_messages(function, 1) == ["after"]


def test_redeploy_and_privacy_change_lose_and_repeat_no_message(platform: QueuePlatform) -> None:
    function = platform.deploy(max_scale=4)
    publish(platform, "continuous")
    trigger = platform.create_listening_trigger(function, "continuous")
    number, changed = 0, asyncio.Event()

    async def publish_continuously() -> int:
        nonlocal number
        async with connected_client(platform.url) as (_, streams):
            while not changed.is_set():
                await streams.publish("continuous", b"%d" % number)
                number += 1
                await asyncio.sleep(0.005)
        return number

    async def redeploy_and_make_private() -> None:
        await asyncio.to_thread(platform.wait_for_messages, function, 20)
        await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'new'\n")
        await asyncio.to_thread(
            platform.api.request, "PATCH", f"{API}/functions/{function}", {"privacy": "private"}
        )
        await asyncio.to_thread(platform.api.wait_until_settled, "functions", function)
        await asyncio.to_thread(platform.wait_for_messages, function, number + 20)
        changed.set()

    async def scenario() -> None:
        await asyncio.gather(publish_continuously(), redeploy_and_make_private())

    asyncio.run(scenario())
    platform.wait_for_messages(function, number)
    assert Counter(platform.handled_bodies(function)) == Counter(map(str, range(number)))
    wait_until(lambda: not platform.deliveries(trigger, status="pending"))
    assert not platform.deliveries(trigger, status="failed,dead")


def test_handler_longer_than_ack_wait_causes_no_redelivery(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(LONGER_THAN_ACK_WAIT))
    publish(platform, "long")
    trigger = platform.create_listening_trigger(function, "long")
    publish(platform, "long", "long")
    platform.wait_for_messages(function, 1)

    async def deliveries_by_broker() -> int:
        async with connected_client(platform.url) as (_, streams):
            info = await streams.consumer_info("long", f"fnkit-{trigger}")
            assert info.delivered is not None
            return int(info.delivered.consumer_seq)

    assert asyncio.run(deliveries_by_broker()) == 1
    assert len(platform.calls(function)) == 1
