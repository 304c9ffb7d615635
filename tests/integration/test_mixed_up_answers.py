"""Handlers that write answers of their own to the bridge's socket: none ever reaches another request's caller.

The bridge is in the handler's own process, so a handler can read everything that the bridge knows: of the request
that it has. It cannot know the number of the next one, which is drawn when that one is sent.
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

def bridge():
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass

def number():
    # The request's own number, from the bridge's frames.
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            nonce_line = getattr(value, "nonce_line", None)
            if isinstance(nonce_line, bytes):
                return nonce_line.rpartition(b" ")[2]
        frame = frame.f_back
    return b""

def fake(body, *lines):
    head = (b"HTTP/1.1 200 OK", b"content-type: text/plain", b"content-length: %d" % len(body), *lines)
    return b"\\r\\n".join(head) + b"\\r\\n\\r\\n" + body

def numbered(body):
    return fake(body, b"fnkit-request: " + number())

def next_comes():
    # Block until the next request's bytes are there: they are not read, only seen.
    poller = select.poll()
    poller.register(bridge(), select.POLLIN)
    poller.poll()

def chat():
    wait_for_latch()
    os.write(bridge(), b"x")

kept = []

def handle(event, context):
    path = event["path"]
    if path == "/overlapping":
        os.write(bridge(), numbered(b"early"))
        next_comes()
    elif path == "/plain":
        os.write(bridge(), fake(b"early"))
    elif path == "/ahead":
        own = numbered(b"early")
        os.write(bridge(), own + own)
    elif path == "/half":
        os.write(bridge(), numbered(b"early") + b"HTTP/1.1 200 OK\\r\\nfnkit-request: ")
    elif path == "/guess":
        os.write(bridge(), numbered(b"early") + fake(b"wrong", b"fnkit-request: 0000000000000000"))
    elif path == "/twice":
        os.write(bridge(), fake(b"early", b"fnkit-request: " + number(), b"fnkit-request: " + number()))
    elif path == "/keep":
        kept.append(numbered(b"early"))
    elif path == "/again":
        os.write(bridge(), kept.pop())
    elif path == "/chatter":
        threading.Thread(target=chat).start()
    elif path == "/slow":
        time.sleep(0.05)
    return path
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as plane:
        plane.deploy("hostile", SOURCE, max_scale=1, timeout=DEADLINE)
        yield plane


def test_an_answer_that_follows_after_the_next_request_came_is_not_given_to_that_one(
    plane: DataPlaneProcess,
) -> None:
    """The handler answers by itself, with the right number, and returns when the next request is on its socket."""
    assert plane.call("hostile", "/overlapping").body == b"early"
    victim = plane.call("hostile", "/victim")
    assert victim.status == 502
    assert b"it answered another request" in victim.body
    assert plane.call("hostile", "/after").body == b"/after"


def test_an_answer_with_the_number_of_the_request_before_is_none(plane: DataPlaneProcess) -> None:
    assert plane.call("hostile", "/keep").body == b"/keep"
    assert plane.call("hostile", "/again").status == 502
    assert plane.call("hostile", "/after").body == b"/after"


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/plain", {(502, None)}),  # no number at all
        ("/ahead", {(200, b"early")}),  # what lies behind an answer ends the instance, whoever it is for
        ("/half", {(200, b"early")}),
        ("/guess", {(200, b"early")}),
        ("/twice", {(502, None)}),
    ],
)
def test_whoever_calls_next_gets_its_own_answer_or_none(
    plane: DataPlaneProcess, path: str, answers: set[tuple[int, bytes | None]]
) -> None:
    reply = plane.call("hostile", path)
    assert (reply.status, reply.body if reply.status == 200 else None) in answers
    for number in range(5):
        mine = f"/mine-{number}"
        assert plane.call("hostile", mine).body == mine.encode()


def test_callers_who_wait_in_line_behind_all_of_that_get_no_stranger_s_answer(plane: DataPlaneProcess) -> None:
    """The next request is granted in the very moment in which the answer before it is complete."""
    tricks = ("/overlapping", "/plain", "/ahead", "/half", "/guess", "/keep", "/twice")

    def ask(number: int) -> None:
        own = f"/mine-{number}"
        reply = plane.call("hostile", tricks[number // 2 % len(tricks)] if number % 2 else own)
        if not number % 2:
            assert reply.status == 502 or reply.body == own.encode(), reply

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(ask, range(60)))


def test_a_handler_that_speaks_while_nobody_asks_is_ended(plane: DataPlaneProcess) -> None:
    with handler_latch() as latch:
        route = plane.deploy("chatters", latch.source + SOURCE, max_scale=1)
        assert plane.call("chatters", "/chatter").body == b"/chatter"
        latch.release()
        wait_until(lambda: any("it sent data without a request" in line.message for line in plane.log_lines(route)))
    assert plane.call("chatters", "/after").body == b"/after"


def test_numbers_are_not_to_be_guessed() -> None:
    """Of a thousand requests no number comes twice, and each has 64 bits that nothing before it tells."""
    source = SOURCE.replace("return path\n", "return number().decode()\n")
    with running_data_plane() as plane:
        plane.deploy("tells", source)
        with plane.connect() as peer:
            numbers = [asked(peer) for _ in range(1000)]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(rb"[0-9a-f]{16}", number) for number in numbers)


def asked(peer: socket.socket) -> bytes:
    peer.sendall(b"GET / HTTP/1.1\r\nHost: tells.test\r\n\r\n")
    return peer.recv(65536).rpartition(b"\r\n\r\n")[2]
