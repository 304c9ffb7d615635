"""GatewayClient distinguishes rejections by the gateway, which are retried, from responses of the function."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.platform.control.events.gateway_client import (
    DeliveryOutcome,
    GatewayClient,
    delivery_target,
)
from fnkit.platform.control.store.database import Store
from fnkit.platform.data_plane.interface import FailureKind
from fnkit.platform.model.delivery_protocol import DeliveryResponse, Frame, FrameDecoder, encode_response_frame
from tests.support.stored_records import store_function

REACHED_NO_HANDLER = {FailureKind.QUEUE_FULL, FailureKind.STOPPING, FailureKind.UNKNOWN}


async def post(socket_path: Path, respond: Callable[[Frame], bytes]) -> DeliveryOutcome:
    """Return the outcome of a delivery to a server that sends one response and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameDecoder()
        while not (received := frames.feed(await reader.read(65536))):
            pass
        writer.write(respond(received[0]))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        finished.set()

    finished = asyncio.Event()
    server = await asyncio.start_unix_server(serve, str(socket_path))
    client = GatewayClient(str(socket_path))
    outcome = await client.post("f.localhost", b"", "text/plain", 10)
    client.close()
    server.close()
    await finished.wait()
    return outcome


def test_503_of_the_function_is_not_a_rejection(tmp_path: Path) -> None:
    response = DeliveryResponse(503, from_function=True, error_excerpt=b"come later")
    outcome = asyncio.run(
        post(tmp_path / "gateway", lambda request: encode_response_frame(request.delivery_id, response))
    )

    assert (outcome.http_status, outcome.rejected, outcome.error) == (503, False, "HTTP 503: come later")


def test_503_of_the_gateway_is_a_rejection(tmp_path: Path) -> None:
    response = DeliveryResponse(503, from_function=False, error_excerpt=b'{"message": "no room"}')
    outcome = asyncio.run(
        post(tmp_path / "gateway", lambda request: encode_response_frame(request.delivery_id, response))
    )

    assert (outcome.http_status, outcome.rejected, outcome.error) == (503, True, "HTTP 503: no room")


@pytest.mark.parametrize(
    "respond",
    [
        lambda _: b"",
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        lambda request: encode_response_frame(
            request.delivery_id, DeliveryResponse(200, from_function=True, error_excerpt=b"")
        )[:-1],
        lambda request: encode_response_frame(
            request.delivery_id + 1, DeliveryResponse(200, from_function=True, error_excerpt=b"")
        ),
        lambda request: b"\x0b\0\0\0\x03" + request.delivery_id.to_bytes(8, "little") + b"\0\0",
    ],
    ids=["empty", "HTTP", "truncated frame", "other delivery", "without status"],
)
def test_incomplete_response_is_a_connection_error(tmp_path: Path, respond: Callable[[Frame], bytes]) -> None:
    outcome = asyncio.run(post(tmp_path / "gateway", respond))

    assert (outcome.http_status, outcome.succeeded, outcome.rejected) == (None, False, False)
    assert outcome.error.startswith("the connection ")


def test_missing_gateway_socket_is_a_rejection(tmp_path: Path) -> None:
    outcome = asyncio.run(GatewayClient(str(tmp_path / "none")).post("f.localhost", b"", "text/plain", 10))

    assert (outcome.http_status, outcome.succeeded, outcome.rejected) == (None, False, True)
    assert outcome.error.startswith("the gateway cannot be reached: ")


def test_delivery_target_adds_time_for_a_cold_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "platform.db")
    store_function(store, "deployed", max_scale=50)
    store_function(store, "created", serving=False)
    deployed, created = store.functions.get("deployed"), store.functions.get("created")
    store.close()
    assert deployed is not None
    assert created is not None

    target = delivery_target(deployed, "localhost")
    assert target is not None
    assert (target.function_id, target.function) == ("deployed", "hello")
    assert target.host == "deployed.functions.fnc.fr-par.localhost"
    assert (target.timeout, target.max_concurrency) == (10 + 60, 50)
    assert delivery_target(created, "localhost") is None
