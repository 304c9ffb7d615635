"""A NATS trigger over its function's life, and which answers are failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.control_process import API
from tests.support.queues import QueuePlatform, connected, queue_platform, sleeping
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

AS_TOLD = "def answered(event):\n    return {'statusCode': int(event['body']), 'body': 'as told'}\n"
DIES = "def answered(event):\n    if event['body'] == 'die':\n        os._exit(3)\n    return 'ok'\n"
LONGER_THAN_THE_BROKER_WAITS = 11.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("life")) as running:
        yield running


def published(platform: QueuePlatform, subject: str, *bodies: str) -> None:
    """Publish to a stream of that name, which is made where it is not there."""

    async def scenario() -> None:
        async with connected(platform.url) as (_, streams):
            await streams.add_stream(name=subject, subjects=[subject])
            for body in bodies:
                await streams.publish(subject, body.encode())

    asyncio.run(scenario())


def ended(platform: QueuePlatform, trigger: str, number: int) -> dict[object, dict[str, object]]:
    """Deliveries by body, once so many are there and none is under way."""

    def look() -> list[dict[str, object]] | None:
        found = platform.deliveries(trigger, limit=100)
        return found if len(found) == number and all(one["status"] != "pending" for one in found) else None

    return {one["body"]: one for one in wait_until(look) or []}


def test_response_status_of_300_or_higher_is_a_failure(platform: QueuePlatform) -> None:
    function = platform.deploy(AS_TOLD, max_scale=10)
    published(platform, "told")
    trigger = platform.trigger(function, "told")
    taken, refused = ("200", "204", "299"), ("300", "301", "404", "413", "429", "502", "503")
    published(platform, "told", *taken, *refused)
    found = ended(platform, trigger, len(taken) + len(refused))
    assert {(found[code]["status"], found[code]["attempts"]) for code in taken} == {("succeeded", 1)}
    assert {(found[code]["status"], found[code]["attempts"]) for code in refused} == {("dead", 4)}
    assert all(str(found[code]["http_status"]) == code for code in (*taken, *refused))


def test_message_that_crashes_its_instance_is_dead_after_four_attempts(platform: QueuePlatform) -> None:
    function = platform.deploy(DIES, max_scale=1)
    published(platform, "deadly")
    trigger = platform.trigger(function, "deadly")
    published(platform, "deadly", "die", *map(str, range(20)))
    found = ended(platform, trigger, 21)
    assert (found["die"]["status"], found["die"]["attempts"], found["die"]["http_status"]) == ("dead", 4, 502)
    assert "exit 3" in str(found["die"]["error"])
    assert Counter(platform.bodies(function)) == Counter(map(str, range(20)))


def test_previous_version_receives_messages_after_failed_deploy(platform: QueuePlatform) -> None:
    function = platform.deploy()
    published(platform, "failing")
    platform.trigger(function, "failing")
    assert platform.api.deployed(function, b"no archive")["status"] == "error"
    published(platform, "failing", "still")
    assert platform.wait_for(function, 1) == ["still"]


def test_redeploy_and_privacy_change_lose_and_repeat_no_message(platform: QueuePlatform) -> None:
    function = platform.deploy(max_scale=4)
    published(platform, "flowing")
    trigger = platform.trigger(function, "flowing")
    number, changed = 0, asyncio.Event()

    async def flow() -> int:
        nonlocal number
        async with connected(platform.url) as (_, streams):
            while not changed.is_set():
                await streams.publish("flowing", b"%d" % number)
                number += 1
                await asyncio.sleep(0.005)
        return number

    async def change() -> None:
        await asyncio.to_thread(platform.wait_for, function, 20)
        await asyncio.to_thread(platform.redeploy, function, "def answered(event):\n    return 'new'\n")
        await asyncio.to_thread(
            platform.api.request, "PATCH", f"{API}/functions/{function}", {"privacy": "private"}
        )
        await asyncio.to_thread(platform.api.settled, "functions", function)
        await asyncio.to_thread(platform.wait_for, function, number + 20)
        changed.set()

    async def scenario() -> None:
        await asyncio.gather(flow(), change())

    asyncio.run(scenario())
    platform.wait_for(function, number)
    assert Counter(platform.bodies(function)) == Counter(map(str, range(number)))
    wait_until(lambda: not platform.deliveries(trigger, status="pending"))
    assert not platform.deliveries(trigger, status="failed,dead")


def test_handler_longer_than_ack_wait_causes_no_redelivery(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping(LONGER_THAN_THE_BROKER_WAITS))
    published(platform, "patient")
    trigger = platform.trigger(function, "patient")
    published(platform, "patient", "long")
    platform.wait_for(function, 1)

    async def handed_out() -> int:
        async with connected(platform.url) as (_, streams):
            info = await streams.consumer_info("patient", f"fnkit-{trigger}")
            assert info.delivered is not None
            return int(info.delivered.consumer_seq)

    assert asyncio.run(handed_out()) == 1
    assert len(platform.calls(function)) == 1
