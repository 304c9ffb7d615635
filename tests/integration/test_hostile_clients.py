"""Misbehaving clients: ambiguous requests are rejected, and other clients are served meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.model import routing
from tests.support.ambiguous_requests import AMBIGUOUS, CHUNKED, HOST, NEXT, UNAMBIGUOUS, post
from tests.support.core_runtime import read_to_end
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.waiting import wait_until

ECHO = (
    "def handle(event, context):\n"
    "    return '<' + event['path'] + '|' + event['body'] + '|' + ','.join(sorted(event['headers'])) + '>'\n"
)


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("echo", ECHO)
        yield running


@pytest.mark.parametrize("form", AMBIGUOUS)
def test_ambiguous_request_is_rejected_and_closes_connection(plane: DataPlaneProcess, form: str) -> None:
    raw = plane.send_raw(AMBIGUOUS[form] + NEXT)
    # Two identical chunked headers are unambiguous; the parser may accept them.
    if form == "chunked twice" and b"</first||" in raw:
        return
    assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), raw
    assert raw.count(b"server: envoy") == 1


@pytest.mark.parametrize("form", UNAMBIGUOUS)
def test_unambiguous_request_is_parsed_as_one(plane: DataPlaneProcess, form: str) -> None:
    data, body = UNAMBIGUOUS[form]
    for raw in (plane.send_raw(data + NEXT), send_byte_by_byte(plane, data + NEXT)):
        assert raw.count(b"HTTP/1.1 200 OK") == 2, raw
        assert b"</first|" + body + b"|" in raw
        assert b"</next||" in raw
        assert b"X-Late" not in raw


def send_byte_by_byte(plane: DataPlaneProcess, data: bytes) -> bytes:
    with plane.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            peer.sendall(bytes([byte]))
        return read_to_end(peer)


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"x" * 65536, b"0\r\n" + b"X-A: b\r\n" * 9000, b"0\r\nX: " + b"x" * 65536],
    ids=["extension", "trailers", "trailer"],
)
def test_endless_framing_returns_400(plane: DataPlaneProcess, endless: bytes) -> None:
    with plane.connect() as peer:
        peer.sendall(post(CHUNKED))
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                peer.sendall(endless)
                endless = endless[-65536:]
        assert b" 400 " in read_to_end(peer)[:20]
    assert plane.call("echo", "/x").status == 200


def test_ten_thousand_headers_are_a_431(plane: DataPlaneProcess) -> None:
    few = b"".join(b"X-%d: y\r\n" % number for number in range(2000))
    raw = plane.send_raw(b"GET /few HTTP/1.1\r\n" + HOST + few + b"Connection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ")
    many = b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
    raw = plane.send_raw(b"GET /many HTTP/1.1\r\n" + HOST + many + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 431 ")


def test_nothing_follows_the_response_after_which_the_client_closes(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(post(b"") + NEXT.replace(b"/next", b"/robots.txt") + b"x")
    assert re.findall(rb"HTTP/1.1 (\d+)", raw) == [b"200", b"404"]
    assert plane.call("echo").status == 200
    assert "Traceback" not in (plane.folder / "stderr.log").read_text()


def test_hundred_pipelined_requests_are_answered_in_order(plane: DataPlaneProcess) -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(100))
    raw = plane.send_raw(requests + NEXT)
    places = [raw.index(b"</%d|" % number) for number in range(100)] + [raw.index(b"</next|")]
    assert places == sorted(places)


def test_slow_clients_do_not_block_others(plane: DataPlaneProcess) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(plane.connect()) for _ in range(200)]
        for byte in b"GET / HT":
            for peer in slow:
                peer.sendall(bytes([byte]))
        assert plane.call("echo", "/x").status == 200
    before = descriptors(plane)
    assert before < 400
    wait_until(lambda: descriptors(plane) <= before - 100 or descriptors(plane) < 100)


def descriptors(plane: DataPlaneProcess) -> int:
    return len(os.listdir(f"/proc/{plane.process.pid}/fd"))  # noqa: PTH208  (names are enough)


def test_unread_responses_do_not_accumulate_in_memory(plane: DataPlaneProcess) -> None:
    plane.deploy("unread-responses", "def handle(e, c):\n    return '{' + ' ' * 1_000_000\n", max_scale=1)
    before = resident(plane)
    requests = b"GET / HTTP/1.1\r\nHost: unread-responses.test\r\n\r\n" * 1000
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(requests)
        for _ in range(60):  # the function is idle: further responses would have been produced by now
            assert plane.call("unread-responses").status == 200
        assert resident(plane) - before < 30 * 1024 * 1024
        responses = 0
        while responses < 3:  # responses continue once the client reads
            responses += peer.recv(1 << 20).count(b"HTTP/1.1 200")


def resident(plane: DataPlaneProcess) -> int:
    """Return the data plane's memory in bytes."""
    pages = Path(f"/proc/{plane.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_half_closed_connection_is_treated_as_disconnect(plane: DataPlaneProcess) -> None:
    """A half-closed connection cannot be told apart from a disconnect, which must free the instance."""
    with handler_latch() as latch:
        source = latch.source + "def handle(e, c):\n    wait_for_latch()\n    return 'done'\n"
        plane.deploy("one", source, max_scale=1)
        with plane.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
            assert read_to_end(peer) == b""
        latch.release()
        assert plane.call("one").body == b"done"


def test_client_that_reads_nothing_blocks_instance_until_timeout(plane: DataPlaneProcess) -> None:
    route = plane.deploy(
        "unread",
        "def handle(e, c):\n    return 'x' * (1 if e['path'] == '/small' else 50_000_000)\n",
        max_scale=1,
        timeout=1.0,
        memory=1024,
    )
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: unread.test\r\n\r\n")
        assert peer.recv(1)
        wait_until(lambda: plane.call("unread", "/small").status == 200)
        wait_until(lambda: any("timed out" in line.message for line in plane.log_lines(route)))
    plane.control.send(routing.RemoveFunction(version=plane.control.next_version(), function_id=route.function_id))
    assert plane.call("echo", "/x").status == 200
