"""The connection for deliveries, with the data plane's own process behind it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator

import pytest

from fnkit.platform.control.events.gateway_client import DeliveryClient, DeliveryOutcome, GatewayClient, Unreachable
from fnkit.platform.model.delivery_protocol import MAX_BODY_BYTES, USER_AGENT
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.waiting import DEADLINE, wait_until

HANDLERS = """
import json, os

def handle(event, context):
    said = event["body"]
    if said == "slow":
        wait_for_latch()
    if said == "die":
        os._exit(1)
    if said == "raise":
        raise ValueError("no")
    if said.startswith("{"):
        return json.loads(said)
    return said
"""


@pytest.fixture(scope="module")
def latch() -> Iterator[HandlerLatch]:
    with handler_latch() as standing:
        yield standing


@pytest.fixture(scope="module")
def plane(latch: HandlerLatch) -> Iterator[DataPlaneProcess]:
    with running_data_plane() as started:
        started.deploy("f", latch.source + HANDLERS, max_scale=3)
        yield started
        latch.release()


def post(
    plane: DataPlaneProcess, *bodies: bytes, host: str = "f.test", seconds: float = DEADLINE
) -> list[DeliveryOutcome]:
    """The outcomes of messages that are sent together."""

    async def together() -> list[DeliveryOutcome]:
        door = GatewayClient(plane.settings.delivery_socket)
        try:
            return list(await asyncio.gather(*(door.post(host, body, "text/plain", seconds) for body in bodies)))
        finally:
            door.close()

    return asyncio.run(together())


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"plain text", 200, ""),
        (b"", 200, ""),
        (b'{"statusCode": 204}', 204, ""),
        (b'{"statusCode": 302, "headers": {"Location": "/"}}', 302, "HTTP 302"),
        (b'{"statusCode": 503, "body": "come later"}', 503, "HTTP 503: come later"),
        (b"die", 502, "HTTP 502: "),
    ],
)
def test_a_delivery_ends_as_a_client_of_http_would_hear_it(
    plane: DataPlaneProcess, body: bytes, status: int, error: str
) -> None:
    [outcome] = post(plane, body)

    assert (outcome.http_status, outcome.rejected) == (status, False)
    assert outcome.error.startswith(error)
    with plane.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert client.recv(65536).split(b" ", 2)[1] == b"%d" % status


def test_an_exception_is_a_failure_with_its_words(plane: DataPlaneProcess) -> None:
    [outcome] = post(plane, b"raise")

    assert outcome.http_status == 500
    assert outcome.error.startswith("HTTP 500: ")


def test_the_function_gets_the_headers_that_were_recorded(plane: DataPlaneProcess) -> None:
    plane.deploy(
        "tell",
        "import json\ndef handle(event, context):\n"
        "    event['headers'].pop('X-Request-Id')\n"
        "    said = [event[name] for name in ('httpMethod', 'path', 'headers')]\n"
        "    return {'statusCode': 400, 'body': json.dumps(said)}\n",
    )
    [outcome] = post(plane, b"hello", host="tell.test")
    method, path, headers = json.loads(outcome.error.removeprefix("HTTP 400: "))

    assert (method, path) == ("POST", "/")
    assert headers == {
        "Content-Length": "5",
        "Content-Type": "text/plain",
        "User-Agent": USER_AGENT,
        "X-Envoy-External-Address": "127.0.0.1",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "http",
    }


def test_many_go_together_and_none_is_mixed_up(plane: DataPlaneProcess) -> None:
    bodies = [b'{"statusCode": %d, "body": "%d"}' % (400 + number % 100, number) for number in range(200)]
    outcomes = post(plane, *bodies)

    assert [outcome.error for outcome in outcomes] == [
        f"HTTP {400 + number % 100}: {number}" for number in range(200)
    ]


def test_the_largest_body_passes_and_one_byte_more_is_refused(plane: DataPlaneProcess) -> None:
    largest = 6 * 1024 * 1024
    [fits, *too_large] = post(plane, *(b"x" * size for size in (largest, 33 * 1024 * 1024, MAX_BODY_BYTES + 1)))

    assert fits.http_status == 200
    assert [(one.http_status, one.rejected) for one in too_large] == [(413, False), (413, False)]


def test_an_unknown_function_turns_it_away(plane: DataPlaneProcess) -> None:
    [outcome] = post(plane, b"x", host="nobody.test")

    assert (outcome.http_status, outcome.rejected) == (404, True)


def test_whoever_waits_no_longer_frees_what_it_waited_for(plane: DataPlaneProcess, latch: HandlerLatch) -> None:
    async def scenario() -> None:
        line = await DeliveryClient.connect(plane.settings.delivery_socket)
        with pytest.raises(TimeoutError, match="timed out"):
            await line.post("f.test", "text/plain", b"slow", 0.0)
        asked = asyncio.ensure_future(line.post("f.test", "text/plain", b"slow", 60))
        await asyncio.to_thread(wait_until, lambda: latch.waiting_count == 2)
        asked.cancel()
        assert (await line.post("f.test", "text/plain", b"next", DEADLINE)).status == 200
        line.close()

    asyncio.run(scenario())


def test_a_gateway_that_dies_leaves_it_open_what_a_handler_saw() -> None:
    with handler_latch() as latch, running_data_plane() as plane:
        plane.deploy("f", latch.source + HANDLERS)

        async def scenario() -> None:
            door = GatewayClient(plane.settings.delivery_socket)
            waiting = asyncio.ensure_future(door.post("f.test", b"slow", "text/plain", 60))
            await asyncio.to_thread(wait_until, lambda: latch.waiting_count == 1)
            plane.process.send_signal(signal.SIGKILL)
            outcome = await waiting
            assert (outcome.http_status, outcome.rejected) == (None, False)
            assert outcome.error == "the connection closed before the response was complete"
            await asyncio.to_thread(plane.process.wait)  # its sockets are closed one after the other
            with pytest.raises(Unreachable):
                await door.post("f.test", b"x", "text/plain", 10)
            door.close()

        asyncio.run(scenario())


def test_what_was_never_sent_reached_nobody(plane: DataPlaneProcess) -> None:
    async def scenario() -> None:
        line = await DeliveryClient.connect(plane.settings.delivery_socket)
        asked = asyncio.ensure_future(line.post("f.test", "text/plain", b"x", 10))
        await asyncio.sleep(0)  # taken, and its turn to be sent has not come
        line.close()
        with pytest.raises((Unreachable, ConnectionError)):
            await asked
        with pytest.raises(Unreachable):
            await line.post("f.test", "text/plain", b"x", 10)

    asyncio.run(scenario())


def test_garbage_closes_the_connection_and_nothing_else(plane: DataPlaneProcess) -> None:
    async def scenario() -> None:
        reader, writer = await asyncio.open_unix_connection(plane.settings.delivery_socket)
        writer.write(b"GET / HTTP/1.1\r\nHost: f.test\r\n\r\n")
        assert await reader.read() == b""
        writer.close()

    asyncio.run(scenario())
    assert post(plane, b"x")[0].http_status == 200
