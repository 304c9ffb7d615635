"""Clients that misbehave: what they send is refused or read in one way only, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.waiting import wait_until

ECHO = (
    "def handle(event, context):\n"
    "    return '<' + event['path'] + '|' + event['body'] + '|' + ','.join(sorted(event['headers'])) + '>'\n"
)
HOST = b"Host: echo.test\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: echo.test\r\n\r\n"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("echo", ECHO)
        yield running


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /first HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
AMBIGUOUS = {
    "a length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunks and a length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "the same length twice": post(b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    "a list of lengths": post(b"Content-Length: 0, 0\r\n"),
    "a signed length": post(b"Content-Length: +0\r\n"),
    "a negative length": post(b"Content-Length: -1\r\n"),
    "a hexadecimal length": post(b"Content-Length: 0x5\r\n"),
    "a length of two numbers": post(b"Content-Length: 1 2\r\n"),
    "a length without a number": post(b"Content-Length: \r\n"),
    "a length that overflows": post(b"Content-Length: 18446744073709551616\r\n"),
    "a blank before the colon of a length": post(b"Content-Length : 5\r\n"),
    "a blank before the colon of a coding": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "a coding that is nearly chunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "a coding behind chunked": post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "a coding before chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "two codings": post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "a tab before the coding": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "a folded header": post(b"X-A: a\r\n b\r\n"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "a head of bare line feeds": b"POST /first HTTP/1.1\nHost: echo.test\n\n",
    "a bare line feed in a head": post(b"X: a\nContent-Length: 5\r\n"),
    "a bare return in a head": post(b"X: a\rContent-Length: 5\r\n"),
    "a zero byte in a head": post(b"X: a\0b\r\n"),
    "a header without a name": post(b": y\r\n"),
    "a header without a colon": post(b"nothing\r\n"),
    "a line that begins with a blank": b"POST /first HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "two hosts": post(b"Host: other.test\r\n"),
    "no host": b"GET /first HTTP/1.1\r\n\r\n",
    "a chunk with a sign": post(CHUNKED, b"-1\r\nx\r\n0\r\n\r\n"),
    "a chunk with a prefix": post(CHUNKED, b"0x1\r\nx\r\n0\r\n\r\n"),
    "a chunk that overflows": post(CHUNKED, b"10000000000000001\r\nx\r\n0\r\n\r\n"),
    "a chunk longer than it says": post(CHUNKED, b"1\r\nxy0\r\n\r\n"),
    "chunks with bare line feeds": post(CHUNKED, b"1\nx\n0\n\n"),
    "an extension that ends in a line feed": post(CHUNKED, b"1;a\nx\r\n0\r\n\r\n"),
    "a version that is none": b"GET /first HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2 in the clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + b"x" * 160,
}


@pytest.mark.parametrize("form", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    plane: DataPlaneProcess, form: str
) -> None:
    raw = plane.send_raw(AMBIGUOUS[form] + NEXT)
    # What a request of two chunked headers means is clear; the parser may take it as one.
    if form == "chunked twice" and b"</first||" in raw:
        return
    assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), raw
    assert raw.count(b"server: envoy") == 1


CLEAR = {
    "an offer to upgrade with a body": (
        post(b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n" % len(INNER), INNER),
        INNER,
    ),
    "an offer to upgrade with chunks": (
        post(b"Connection: upgrade\r\nUpgrade: h2c\r\n" + CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)),
        INNER,
    ),
    "a body that looks like a request": (post(b"Content-Length: %d\r\n" % len(INNER), INNER), INNER),
    "a chunk with extensions": (post(CHUNKED, b'1;a=b;c="d"\r\nx\r\n0;e\r\n\r\n'), b"x"),
    "trailers": (post(CHUNKED, b"1\r\nx\r\n0\r\nX-Late: 1\r\nHost: other.test\r\n\r\n"), b"x"),
    "empty lines before it": (b"\r\n\r\n" + post(b""), b""),
}


@pytest.mark.parametrize("form", CLEAR)
def test_what_can_be_read_in_one_way_is_one_request(plane: DataPlaneProcess, form: str) -> None:
    data, body = CLEAR[form]
    for raw in (plane.send_raw(data + NEXT), byte_by_byte(plane, data + NEXT)):
        assert raw.count(b"HTTP/1.1 200 OK") == 2, raw
        assert b"</first|" + body + b"|" in raw
        assert b"</next||" in raw
        assert b"X-Late" not in raw


def byte_by_byte(plane: DataPlaneProcess, data: bytes) -> bytes:
    with plane.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            peer.sendall(bytes([byte]))
        return rest_of(peer)


def rest_of(peer: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := peer.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"x" * 65536, b"0\r\n" + b"X-A: b\r\n" * 9000, b"0\r\nX: " + b"x" * 65536],
    ids=["extension", "trailers", "trailer"],
)
def test_framing_without_end_is_cut(plane: DataPlaneProcess, endless: bytes) -> None:
    with plane.connect() as peer:
        peer.sendall(post(CHUNKED))
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                peer.sendall(endless)
                endless = endless[-65536:]
        assert b" 400 " in rest_of(peer)[:20]
    assert plane.call("echo", "/x").status == 200


def test_ten_thousand_headers_are_too_many_or_served(plane: DataPlaneProcess) -> None:
    few = b"".join(b"X-%d: y\r\n" % number for number in range(2000))
    raw = plane.send_raw(b"GET /few HTTP/1.1\r\n" + HOST + few + b"Connection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ")
    many = b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
    raw = plane.send_raw(b"GET /many HTTP/1.1\r\n" + HOST + many + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 431 ")


def test_a_hundred_pipelined_requests_are_answered_in_order(plane: DataPlaneProcess) -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST) for number in range(100))
    raw = plane.send_raw(requests + NEXT)
    places = [raw.index(b"</%d|" % number) for number in range(100)] + [raw.index(b"</next|")]
    assert places == sorted(places)


def test_two_hundred_clients_that_send_a_byte_now_and_then_hinder_nobody(plane: DataPlaneProcess) -> None:
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
    return len(os.listdir(f"/proc/{plane.process.pid}/fd"))  # noqa: PTH208  (names, of a process that goes on)


def test_answers_that_a_client_asks_for_and_never_reads_do_not_pile_up_in_memory(plane: DataPlaneProcess) -> None:
    plane.deploy("piler", "def handle(e, c):\n    return '{' + ' ' * 1_000_000\n", max_scale=1)
    before = resident(plane)
    requests = b"GET / HTTP/1.1\r\nHost: piler.test\r\n\r\n" * 1000
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(requests)
        for _ in range(60):  # the function is free: what it could have answered, it would have by now
            assert plane.call("piler").status == 200
        assert resident(plane) - before < 30 * 1024 * 1024
        answered = 0
        while answered < 3:  # and it goes on when the client reads
            answered += peer.recv(1 << 20).count(b"HTTP/1.1 200")


def resident(plane: DataPlaneProcess) -> int:
    """Return the data plane's memory in bytes."""
    pages = Path(f"/proc/{plane.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_says_it_will_send_no_more_is_gone(plane: DataPlaneProcess) -> None:
    """Half a connection cannot be told from a client that has left, and its instance is to be free."""
    with handler_latch() as latch:
        source = latch.source + "def handle(e, c):\n    wait_for_latch()\n    return 'done'\n"
        plane.deploy("one", source, max_scale=1)
        with plane.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
            assert rest_of(peer) == b""
        latch.release()
        assert plane.call("one").body == b"done"


def test_a_client_that_reads_nothing_holds_its_instance_until_the_timeout(plane: DataPlaneProcess) -> None:
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
