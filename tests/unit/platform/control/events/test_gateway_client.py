"""What the gateway turns away itself can be told from a function's answer: only the former is tried again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.platform.control.events.gateway_client import DeliveryOutcome, GatewayClient, Unreachable
from fnkit.platform.data_plane.interface import FailureKind
from fnkit.platform.model.delivery_protocol import DeliveryResponse, Frame, FrameDecoder, encode_response_frame

REACHED_NO_HANDLER = {FailureKind.QUEUE_FULL, FailureKind.STOPPING, FailureKind.UNKNOWN}


async def posted(door: Path, answer: Callable[[Frame], bytes]) -> DeliveryOutcome:
    """The outcome of a POST that is answered so before the connection ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameDecoder()
        while not (heard := frames.feed(await reader.read(65536))):
            pass
        writer.write(answer(heard[0]))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    over = asyncio.Event()
    server = await asyncio.start_unix_server(serve, str(door))
    client = GatewayClient(str(door))
    outcome = await client.post("f.localhost", b"", "text/plain", 10)
    client.close()
    server.close()
    await over.wait()
    return outcome


def test_a_functions_own_503_is_final(tmp_path: Path) -> None:
    said = DeliveryResponse(503, from_function=True, error_excerpt=b"come later")
    outcome = asyncio.run(posted(tmp_path / "door", lambda post: encode_response_frame(post.delivery_id, said)))

    assert (outcome.http_status, outcome.rejected, outcome.error) == (503, False, "HTTP 503: come later")


def test_a_gateways_503_is_not(tmp_path: Path) -> None:
    said = DeliveryResponse(503, from_function=False, error_excerpt=b'{"message": "no room"}')
    outcome = asyncio.run(posted(tmp_path / "door", lambda post: encode_response_frame(post.delivery_id, said)))

    assert (outcome.http_status, outcome.rejected, outcome.error) == (503, True, "HTTP 503: no room")


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"",
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        lambda post: encode_response_frame(
            post.delivery_id, DeliveryResponse(200, from_function=True, error_excerpt=b"")
        )[:-1],
        lambda post: encode_response_frame(
            post.delivery_id + 1, DeliveryResponse(200, from_function=True, error_excerpt=b"")
        ),
        lambda post: b"\x0b\0\0\0\x03" + post.delivery_id.to_bytes(8, "little") + b"\0\0",
    ],
    ids=["nothing", "another language", "half of one", "somebody else's", "one without a status"],
)
def test_an_answer_that_breaks_off_is_none(tmp_path: Path, answer: Callable[[Frame], bytes]) -> None:
    outcome = asyncio.run(posted(tmp_path / "door", answer))

    assert (outcome.http_status, outcome.succeeded, outcome.rejected) == (None, False, False)
    assert outcome.error.startswith("the connection ")


def test_a_closed_door_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        asyncio.run(GatewayClient(str(tmp_path / "none")).post("f.localhost", b"", "text/plain", 10))
