"""What the gateway turns away itself can be told from a function's answer: only the former is tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fnkit.contract.invocation import map_response
from fnkit.platform.engine.contract import Failure, FailureKind
from fnkit.platform.gateway.responses import encode_response, failure_response
from fnkit.platform.schedulers.delivery import Door, Outcome, Unreachable

_REACHED_NO_HANDLER = {FailureKind.QUEUE_FULL, FailureKind.STOPPING, FailureKind.UNKNOWN}


async def posted(door: Path, answer: bytes) -> Outcome:
    """The outcome of a POST that is answered so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, str(door))
    client = Door(str(door))
    outcome = await client.post("f.localhost", b"", "text/plain", 10)
    client.close()
    server.close()
    for _ in range(3):  # until the sockets are closed
        await asyncio.sleep(0)
    return outcome


@pytest.mark.parametrize("kind", list(FailureKind))
def test_a_full_queue_is_no_answer_of_the_function(tmp_path: Path, kind: FailureKind) -> None:
    answer = encode_response(failure_response(Failure(kind, "no room")), keep_alive=False)
    outcome = asyncio.run(posted(tmp_path / "door", answer))

    assert outcome.turned_away is (kind in _REACHED_NO_HANDLER)
    assert not outcome.succeeded
    assert outcome.error == f"it answered {outcome.http_status}: no room"


def test_a_functions_own_503_is_final(tmp_path: Path) -> None:
    mapped = map_response(200, [], b'{"statusCode": 503, "body": "come later"}')
    outcome = asyncio.run(posted(tmp_path / "door", encode_response(mapped, keep_alive=False)))

    assert (outcome.http_status, outcome.turned_away, outcome.error) == (503, False, "it answered 503: come later")


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"],
)
def test_an_answer_that_breaks_off_is_none(tmp_path: Path, answer: bytes) -> None:
    outcome = asyncio.run(posted(tmp_path / "door", answer))

    assert (outcome.http_status, outcome.succeeded, outcome.turned_away) == (None, False, False)
    assert outcome.error.startswith("the connection ")


def test_a_closed_door_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        asyncio.run(Door(str(tmp_path / "none")).post("f.localhost", b"", "text/plain", 10))
