"""A NATS trigger over its function's life, and which answers are failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.control_process import API
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform, sleeping_handler
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

AS_TOLD = "def respond(event):\n    return {'statusCode': int(event['body']), 'body': 'as told'}\n"
DIES = "def respond(event):\n    if event['body'] == 'die':\n        os._exit(3)\n    return 'ok'\n"
LONGER_THAN_THE_BROKER_WAITS = 11.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("life")) as running:
        yield running


def published(platform: QueuePlatform, subject: str, *bodies: str) -> None:
    """Publish to a stream of that name, which is made where it is not there."""

    async def scenario() -> None:
        async with connected_client(platform.url) as (_, streams):
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


def test_every_answer_from_300_on_is_a_failure_also_a_function_s_own_404_and_503(platform: QueuePlatform) -> None:
    function = platform.deploy(AS_TOLD, max_scale=10)
    published(platform, "told")
    trigger = platform.create_listening_trigger(function, "told")
    taken, refused = ("200", "204", "299"), ("300", "301", "404", "413", "429", "502", "503")
    published(platform, "told", *taken, *refused)
    found = ended(platform, trigger, len(taken) + len(refused))
    assert {(found[code]["status"], found[code]["attempts"]) for code in taken} == {("succeeded", 1)}
    assert {(found[code]["status"], found[code]["attempts"]) for code in refused} == {("dead", 4)}
    assert all(str(found[code]["http_status"]) == code for code in (*taken, *refused))


def test_a_message_that_kills_its_instance_is_tried_four_times_and_blocks_nobody(platform: QueuePlatform) -> None:
    function = platform.deploy(DIES, max_scale=1)
    published(platform, "deadly")
    trigger = platform.create_listening_trigger(function, "deadly")
    published(platform, "deadly", "die", *map(str, range(20)))
    found = ended(platform, trigger, 21)
    assert (found["die"]["status"], found["die"]["attempts"], found["die"]["http_status"]) == ("dead", 4, 502)
    assert "exit 3" in str(found["die"]["error"])
    assert Counter(platform.handled_bodies(function)) == Counter(map(str, range(20)))


def test_where_a_deploy_fails_the_version_before_it_is_delivered_to(platform: QueuePlatform) -> None:
    function = platform.deploy()
    published(platform, "failing")
    platform.create_listening_trigger(function, "failing")
    assert platform.api.deploy(function, b"no archive")["status"] == "error"
    published(platform, "failing", "still")
    assert platform.wait_for_messages(function, 1) == ["still"]


def test_a_new_version_and_another_privacy_take_over_in_the_middle_of_a_flow(platform: QueuePlatform) -> None:
    function = platform.deploy(max_scale=4)
    published(platform, "flowing")
    trigger = platform.create_listening_trigger(function, "flowing")
    number, changed = 0, asyncio.Event()

    async def flow() -> int:
        nonlocal number
        async with connected_client(platform.url) as (_, streams):
            while not changed.is_set():
                await streams.publish("flowing", b"%d" % number)
                number += 1
                await asyncio.sleep(0.005)
        return number

    async def change() -> None:
        await asyncio.to_thread(platform.wait_for_messages, function, 20)
        await asyncio.to_thread(platform.deploy_code, function, "def respond(event):\n    return 'new'\n")
        await asyncio.to_thread(
            platform.api.request, "PATCH", f"{API}/functions/{function}", {"privacy": "private"}
        )
        await asyncio.to_thread(platform.api.wait_until_settled, "functions", function)
        await asyncio.to_thread(platform.wait_for_messages, function, number + 20)
        changed.set()

    async def scenario() -> None:
        await asyncio.gather(flow(), change())

    asyncio.run(scenario())
    platform.wait_for_messages(function, number)
    assert Counter(platform.handled_bodies(function)) == Counter(map(str, range(number)))
    wait_until(lambda: not platform.deliveries(trigger, status="pending"))
    assert not platform.deliveries(trigger, status="failed,dead")


def test_a_handler_may_take_longer_than_the_broker_waits_for_an_acknowledgement(platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(LONGER_THAN_THE_BROKER_WAITS))
    published(platform, "patient")
    trigger = platform.create_listening_trigger(function, "patient")
    published(platform, "patient", "long")
    platform.wait_for_messages(function, 1)

    async def handed_out() -> int:
        async with connected_client(platform.url) as (_, streams):
            info = await streams.consumer_info("patient", f"fnkit-{trigger}")
            assert info.delivered is not None
            return int(info.delivered.consumer_seq)

    assert asyncio.run(handed_out()) == 1
    assert len(platform.calls(function)) == 1
