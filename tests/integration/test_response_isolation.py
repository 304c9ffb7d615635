"""Handlers that write forged responses to the worker's socket: none reaches the caller of another request.

The worker runs in the handler's process, so a handler can read everything that the worker knows about the current
request. It cannot know the nonce of the next one, which is generated when that request is sent.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.waiting import DEADLINE, wait_until

SOURCE = """
import os, select, socket, stat, sys, threading, time

def worker_socket():
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass

def nonce():
    # The nonce of the current request, from the worker's frames.
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            nonce_line = getattr(value, "nonce_line", None)
            if isinstance(nonce_line, bytes):
                return nonce_line.rpartition(b" ")[2]
        frame = frame.f_back
    return b""

def forged(body, *lines):
    head = (b"HTTP/1.1 200 OK", b"content-type: text/plain", b"content-length: %d" % len(body), *lines)
    return b"\\r\\n".join(head) + b"\\r\\n\\r\\n" + body

def with_nonce(body):
    return forged(body, b"fnkit-request: " + nonce())

def wait_for_next_request():
    # Block until the next request has arrived, without reading it.
    poller = select.poll()
    poller.register(worker_socket(), select.POLLIN)
    poller.poll()

def write_unprompted():
    wait_for_latch()
    os.write(worker_socket(), b"x")

kept = []

def handle(event, context):
    path = event["path"]
    if path == "/overlapping":
        os.write(worker_socket(), with_nonce(b"early"))
        wait_for_next_request()
    elif path == "/plain":
        os.write(worker_socket(), forged(b"early"))
    elif path == "/ahead":
        own = with_nonce(b"early")
        os.write(worker_socket(), own + own)
    elif path == "/half":
        os.write(worker_socket(), with_nonce(b"early") + b"HTTP/1.1 200 OK\\r\\nfnkit-request: ")
    elif path == "/guess":
        os.write(worker_socket(), with_nonce(b"early") + forged(b"wrong", b"fnkit-request: 0000000000000000"))
    elif path == "/twice":
        os.write(worker_socket(), forged(b"early", b"fnkit-request: " + nonce(), b"fnkit-request: " + nonce()))
    elif path == "/keep":
        kept.append(with_nonce(b"early"))
    elif path == "/again":
        os.write(worker_socket(), kept.pop())
    elif path == "/unprompted":
        threading.Thread(target=write_unprompted).start()
    elif path == "/slow":
        time.sleep(0.05)
    return path
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as plane:
        plane.deploy("hostile", SOURCE, max_scale=1, timeout=DEADLINE)
        yield plane


def test_late_response_is_not_sent_to_next_request(
    plane: DataPlaneProcess,
) -> None:
    """The handler writes a response with the right nonce, and returns once the next request has arrived."""
    assert plane.call("hostile", "/overlapping").body == b"early"
    victim = plane.call("hostile", "/victim")
    assert victim.status == 502
    assert b"it answered another request" in victim.body
    assert plane.call("hostile", "/after").body == b"/after"


def test_response_with_previous_nonce_returns_502(plane: DataPlaneProcess) -> None:
    assert plane.call("hostile", "/keep").body == b"/keep"
    assert plane.call("hostile", "/again").status == 502
    assert plane.call("hostile", "/after").body == b"/after"


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("/plain", {(502, None)}),  # no nonce
        ("/ahead", {(200, b"early")}),  # data after a response ends the instance
        ("/half", {(200, b"early")}),
        ("/guess", {(200, b"early")}),
        ("/twice", {(502, None)}),
    ],
)
def test_forged_response_does_not_reach_next_caller(
    plane: DataPlaneProcess, path: str, accepted: set[tuple[int, bytes | None]]
) -> None:
    reply = plane.call("hostile", path)
    assert (reply.status, reply.body if reply.status == 200 else None) in accepted
    for number in range(5):
        mine = f"/mine-{number}"
        assert plane.call("hostile", mine).body == mine.encode()


def test_queued_callers_never_get_foreign_responses(plane: DataPlaneProcess) -> None:
    """A queued request is assigned as soon as the previous response is complete."""
    forgeries = ("/overlapping", "/plain", "/ahead", "/half", "/guess", "/keep", "/twice")

    def call(number: int) -> None:
        own = f"/mine-{number}"
        reply = plane.call("hostile", forgeries[number // 2 % len(forgeries)] if number % 2 else own)
        if not number % 2:
            assert reply.status == 502 or reply.body == own.encode(), reply

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(call, range(60)))


def test_instance_that_writes_without_request_is_ended(plane: DataPlaneProcess) -> None:
    with handler_latch() as latch:
        route = plane.deploy("unprompted", latch.source + SOURCE, max_scale=1)
        assert plane.call("unprompted", "/unprompted").body == b"/unprompted"
        latch.release()
        wait_until(lambda: any("it sent data without a request" in line.message for line in plane.log_lines(route)))
    assert plane.call("unprompted", "/after").body == b"/after"


def test_nonces_are_unique_and_have_64_bits() -> None:
    """A thousand requests have a thousand different nonces of 64 bits."""
    source = SOURCE.replace("return path\n", "return nonce().decode()\n")
    with running_data_plane() as plane:
        plane.deploy("nonces", source)
        with plane.connect() as peer:
            nonces = [request_nonce(peer) for _ in range(1000)]
    assert len(set(nonces)) == len(nonces)
    assert all(re.fullmatch(rb"[0-9a-f]{16}", nonce) for nonce in nonces)


def request_nonce(peer: socket.socket) -> bytes:
    peer.sendall(b"GET / HTTP/1.1\r\nHost: nonces.test\r\n\r\n")
    return peer.recv(65536).rpartition(b"\r\n\r\n")[2]
