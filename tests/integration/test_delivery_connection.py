"""The delivery connection to a real data-plane process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator

import pytest

from fnkit.contract.event_requests import USER_AGENT
from fnkit.platform.control.events.gateway_client import DeliveryClient, DeliveryOutcome, GatewayClient, Unreachable
from fnkit.platform.model.delivery_protocol import MAX_BODY_BYTES
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.waiting import DEADLINE, wait_until

HANDLERS = """
import json, os

def handle(event, context):
    body = event["body"]
    if body == "slow":
        wait_for_latch()
    if body == "exit":
        os._exit(1)
    if body == "raise":
        raise ValueError("no")
    if body.startswith("{"):
        return json.loads(body)
    return body
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
    """Send messages concurrently and return their outcomes."""

    async def post_all() -> list[DeliveryOutcome]:
        client = GatewayClient(plane.settings.delivery_socket)
        try:
            return list(await asyncio.gather(*(client.post(host, body, "text/plain", seconds) for body in bodies)))
        finally:
            client.close()

    return asyncio.run(post_all())


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"plain text", 200, ""),
        (b"", 200, ""),
        (b'{"statusCode": 204}', 204, ""),
        (b'{"statusCode": 302, "headers": {"Location": "/"}}', 302, "HTTP 302"),
        (b'{"statusCode": 503, "body": "retry later"}', 503, "HTTP 503: retry later"),
        (b"exit", 502, "HTTP 502: "),
    ],
)
def test_delivery_status_matches_http_response(
    plane: DataPlaneProcess, body: bytes, status: int, error: str
) -> None:
    [outcome] = post(plane, body)

    assert (outcome.http_status, outcome.rejected) == (status, False)
    assert outcome.error.startswith(error)
    with plane.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: f.test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert client.recv(65536).split(b" ", 2)[1] == b"%d" % status


def test_exception_outcome_has_status_500(plane: DataPlaneProcess) -> None:
    [outcome] = post(plane, b"raise")

    assert outcome.http_status == 500
    assert outcome.error.startswith("HTTP 500: ")


def test_delivery_has_the_log_line_of_a_request(plane: DataPlaneProcess) -> None:
    route = plane.deploy("logged", "def handle(event, context):\n    print('output')\n    return 'ok'\n")
    post(plane, b"hello", host="logged.test")
    wait_until(lambda: plane.request_lines(route) and plane.log_lines(route))
    [request], [output] = plane.request_lines(route), plane.log_lines(route)

    assert (request.message, request.stream) == ("Function Triggered: /", "requests")
    assert request.request_id
    assert (request.instance, request.request_id) == (output.instance, output.request_id)
    assert request.time < output.time


def test_delivery_request_has_the_expected_headers(plane: DataPlaneProcess) -> None:
    plane.deploy(
        "reflect",
        "import json\ndef handle(event, context):\n"
        "    event['headers'].pop('X-Request-Id')\n"
        "    seen = [event[name] for name in ('httpMethod', 'path', 'headers')]\n"
        "    return {'statusCode': 400, 'body': json.dumps(seen)}\n",
    )
    [outcome] = post(plane, b"hello", host="reflect.test")
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


def test_concurrent_deliveries_get_their_own_outcomes(plane: DataPlaneProcess) -> None:
    bodies = [b'{"statusCode": %d, "body": "%d"}' % (400 + number % 100, number) for number in range(200)]
    outcomes = post(plane, *bodies)

    assert [outcome.error for outcome in outcomes] == [
        f"HTTP {400 + number % 100}: {number}" for number in range(200)
    ]


def test_delivery_body_over_the_limit_returns_413(plane: DataPlaneProcess) -> None:
    largest = 6 * 1024 * 1024
    [fits, *too_large] = post(plane, *(b"x" * size for size in (largest, 33 * 1024 * 1024, MAX_BODY_BYTES + 1)))

    assert fits.http_status == 200
    assert [(one.http_status, one.rejected) for one in too_large] == [(413, False), (413, False)]


def test_delivery_to_unknown_function_is_rejected(plane: DataPlaneProcess) -> None:
    [outcome] = post(plane, b"x", host="unknown.test")

    assert (outcome.http_status, outcome.rejected) == (404, True)


def test_timed_out_or_cancelled_delivery_does_not_block_others(
    plane: DataPlaneProcess, latch: HandlerLatch
) -> None:
    async def scenario() -> None:
        connection = await DeliveryClient.connect(plane.settings.delivery_socket)
        with pytest.raises(TimeoutError, match="timed out"):
            await connection.post("f.test", "text/plain", b"slow", 0.0)
        pending = asyncio.ensure_future(connection.post("f.test", "text/plain", b"slow", 60))
        await asyncio.to_thread(wait_until, lambda: latch.waiting_count == 2)
        pending.cancel()
        assert (await connection.post("f.test", "text/plain", b"next", DEADLINE)).status == 200
        connection.close()

    asyncio.run(scenario())


def test_gateway_crash_leaves_delivery_outcome_unknown() -> None:
    with handler_latch() as latch, running_data_plane() as plane:
        plane.deploy("f", latch.source + HANDLERS)

        async def scenario() -> None:
            client = GatewayClient(plane.settings.delivery_socket)
            waiting = asyncio.ensure_future(client.post("f.test", b"slow", "text/plain", 60))
            await asyncio.to_thread(wait_until, lambda: latch.waiting_count == 1)
            plane.process.send_signal(signal.SIGKILL)
            outcome = await waiting
            assert (outcome.http_status, outcome.rejected) == (None, False)
            assert outcome.error == "the connection closed before the response was complete"
            await asyncio.to_thread(plane.process.wait)  # the kernel closes its sockets one after the other
            outcome = await client.post("f.test", b"x", "text/plain", 10)
            assert (outcome.http_status, outcome.rejected) == (None, True)
            assert outcome.error.startswith("the gateway cannot be reached: ")
            client.close()

        asyncio.run(scenario())


def test_unsent_delivery_fails_when_connection_closes(plane: DataPlaneProcess) -> None:
    async def scenario() -> None:
        connection = await DeliveryClient.connect(plane.settings.delivery_socket)
        pending = asyncio.ensure_future(connection.post("f.test", "text/plain", b"x", 10))
        await asyncio.sleep(0)  # accepted, but not sent yet
        connection.close()
        with pytest.raises((Unreachable, ConnectionError)):
            await pending
        with pytest.raises(Unreachable):
            await connection.post("f.test", "text/plain", b"x", 10)

    asyncio.run(scenario())


def test_invalid_frame_closes_only_its_connection(plane: DataPlaneProcess) -> None:
    async def scenario() -> None:
        reader, writer = await asyncio.open_unix_connection(plane.settings.delivery_socket)
        writer.write(b"GET / HTTP/1.1\r\nHost: f.test\r\n\r\n")
        assert await reader.read() == b""
        writer.close()

    asyncio.run(scenario())
    assert post(plane, b"x")[0].http_status == 200
