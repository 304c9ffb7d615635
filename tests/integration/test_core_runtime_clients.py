"""Clients of the core runtime that misbehave, that are many, and that wait for their turn."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ambiguous_requests import CHUNKED, NEXT, post
from tests.support.core_runtime import (
    AGES,
    CoreRuntimeProcess,
    read_to_end,
    running_core_runtime,
    wait_until_received,
)
from tests.support.handler_latch import handler_latch
from tests.support.waiting import DEADLINE, wait_until

ECHO = "def handle(event, context):\n    return '<' + event['path'] + '|' + event['body'] + '>'\n"
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def runtime() -> Iterator[CoreRuntimeProcess]:
    with running_core_runtime(ECHO, memory=1024) as running:
        yield running


# The bytes of HTTP


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00", b"\0", b"X", b"GET\r\n\r\n", b"get / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"GET /\xff"],
    ids=["TLS", "zero", "letter", "no-target", "lower-case", "zeros", "not-ASCII"],
)
def test_garbage_is_rejected_at_once(runtime: CoreRuntimeProcess, data: bytes) -> None:
    assert runtime.send_raw(data).startswith(b"HTTP/1.1 400 ")
    assert runtime.call("/x").body == b"</x|>"


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"x" * 65536, b"0\r\n" + b"X-A: b\r\n" * 9000, b"0\r\nX: " + b"x" * 65536],
    ids=["extension", "trailers", "trailer"],
)
def test_endless_framing_is_rejected(runtime: CoreRuntimeProcess, endless: bytes) -> None:
    with runtime.connect() as peer:
        peer.sendall(post(CHUNKED))
        with contextlib.suppress(ConnectionError):
            for _ in range(16):
                peer.sendall(endless)
                endless = endless[-65536:]
        assert b" 400 " in read_to_end(peer)[:20]


@pytest.mark.parametrize(
    "data",
    [b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"\r\n" * 40_000],
    ids=["target", "header", "empty-lines"],
)
def test_head_without_end_is_a_431(runtime: CoreRuntimeProcess, data: bytes) -> None:
    assert runtime.send_raw(data).startswith(b"HTTP/1.1 431 ")


def test_endless_chunked_body_is_a_413(runtime: CoreRuntimeProcess) -> None:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with runtime.connect() as peer:
        peer.sendall(post(CHUNKED))
        for _ in range(33):
            peer.sendall(chunk)
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_expect_100_continue_is_answered_before_the_body(runtime: CoreRuntimeProcess) -> None:
    with runtime.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"hi")
        assert peer.recv(65536).endswith(b"</|hi>")


def test_body_that_will_be_refused_is_not_asked_for(runtime: CoreRuntimeProcess) -> None:
    raw = runtime.send_raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6291457\r\nExpect: 100-continue\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413 ")


def test_connection_is_kept_alive_between_requests(runtime: CoreRuntimeProcess) -> None:
    with runtime.connect() as peer:
        for path in (b"/1", b"/2", b"/robots.txt", b"/3"):
            peer.sendall(GET % path)
            answer = peer.recv(65536)
            assert answer.endswith(b"<" + path + b"|>") or answer.startswith(b"HTTP/1.1 404 ")


def test_head_response_has_content_length_and_no_body(runtime: CoreRuntimeProcess) -> None:
    with runtime.connect() as peer:
        for _ in range(2):
            peer.sendall(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = peer.recv(65536)
            assert answer.endswith(b"\r\n\r\n")
            assert b"\r\ncontent-length: 5\r\n" in answer


def test_hundred_pipelined_requests_are_answered_in_order(runtime: CoreRuntimeProcess) -> None:
    requests = b"".join(GET % b"/%d" % number for number in range(100)) + GET % b"/favicon.ico"
    raw = runtime.send_raw(requests + NEXT)
    places = [raw.index(b"</%d|" % number) for number in range(100)]
    places += [raw.index(b"HTTP/1.1 404"), raw.index(b"</next|")]
    assert places == sorted(places)


def test_nothing_follows_the_response_after_which_the_client_closes(runtime: CoreRuntimeProcess) -> None:
    raw = runtime.send_raw(NEXT + GET % b"/late" + b"x")
    assert raw.count(b"server: envoy") == 1
    assert b"\r\nconnection: close\r\n" in raw


def test_error_after_pipelined_requests_comes_last(runtime: CoreRuntimeProcess) -> None:
    raw = runtime.send_raw(GET % b"/1" + GET % b"/2" + b"broken\r\n\r\n")
    assert raw.index(b"</1|>") < raw.index(b"</2|>") < raw.index(b"HTTP/1.1 400 ")
    assert raw.count(b"server: envoy") == 3


# Deadlines


def test_slow_clients_are_ended_and_others_served_meanwhile() -> None:
    settings = {"FNKIT_REQUEST_SECONDS": "1", "FNKIT_IDLE_SECONDS": "1"}
    stalls = [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    ]
    with running_core_runtime(ECHO, settings=settings) as runtime, contextlib.ExitStack() as stack:
        peers = [(stall, stack.enter_context(runtime.connect())) for stall in stalls for _ in range(25)]
        for stall, peer in peers:
            peer.sendall(stall)
        assert runtime.call("/x").body == b"</x|>"
        for stall, peer in peers:
            answer = read_to_end(peer)
            assert answer.startswith(b"HTTP/1.1 408 ") if stall else answer == b""


def test_request_sent_byte_by_byte_must_arrive_in_time() -> None:
    """A byte now and then does not extend the deadline."""
    with running_core_runtime(ECHO, settings={"FNKIT_REQUEST_SECONDS": "1"}) as runtime, runtime.connect() as peer:
        stopped = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
                while not stopped.wait(0.05):
                    peer.sendall(b"X: y\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert peer.recv(65536).startswith(b"HTTP/1.1 408 ")
        finally:
            stopped.set()
            thread.join()


@pytest.mark.long
def test_client_that_reads_nothing_is_ended_and_stalls_nobody() -> None:
    source = "def handle(e, c):\n    return 'x' * int(e['path'][1:])\n"
    with running_core_runtime(source, memory=1024, settings={"FNKIT_REQUEST_SECONDS": "2"}) as runtime:
        with contextlib.ExitStack() as stack:
            for size in (b"/30000000", b"/60000000", b"/300000000"):
                peer = stack.enter_context(runtime.connect())
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.sendall(GET % size)
                assert peer.recv(1)
            assert runtime.call("/3").body == b"xxx"
        worker = runtime.worker
        assert runtime.call("/3").body == b"xxx"
        assert runtime.worker == worker


@pytest.mark.long
def test_timeout_of_a_response_that_waits_for_its_client_does_not_end_the_worker() -> None:
    source = "def handle(e, c):\n    return 'x' * int(e['path'][1:])\n"
    with running_core_runtime(source, memory=1024, settings={"FNKIT_TIMEOUT_SECONDS": "8"}) as runtime:
        with runtime.connect() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.sendall(GET % b"/80000000")
            assert peer.recv(1)
            worker = runtime.worker
            # The first calls may wait as long as they may for the other response, and get a 504.
            wait_until(lambda: runtime.call("/3").status == 200)
        assert runtime.worker == worker


@pytest.mark.long
def test_slow_reader_gets_a_large_response_completely() -> None:
    source = "def handle(e, c):\n    return 'x' * 60_000_000\n"
    with running_core_runtime(source, memory=1024) as runtime, runtime.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(NEXT)
        size = 0
        while part := peer.recv(1 << 20):
            size += part.count(b"x")
        assert size >= 60_000_000


def test_unread_responses_do_not_accumulate_in_memory() -> None:
    source = "def handle(e, c):\n    return '{' + ' ' * 1_000_000\n"
    with running_core_runtime(source) as runtime, runtime.connect() as peer:
        assert runtime.call().status == 200
        before = resident(runtime)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(GET % b"/" * 1000)
        for _ in range(30):
            assert runtime.call().status == 200
        assert resident(runtime) - before < 30 * 1024
        responses = 0
        while responses < 3:  # they continue once the client reads
            responses += peer.recv(1 << 20).count(b"HTTP/1.1 200")


def resident(runtime: CoreRuntimeProcess) -> int:
    """Return the memory of the core runtime in KiB."""
    status = Path(f"/proc/{runtime.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.long
def test_bodies_take_bounded_memory_and_others_get_503() -> None:
    with running_core_runtime(ECHO, memory=128) as runtime, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(runtime.connect()) for _ in range(12)]
        for peer in peers:  # 72 MB, of which 40 MiB are allowed
            with contextlib.suppress(ConnectionError):
                peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6291456\r\n\r\n" + b"x" * 6_000_000)
        # Only an error comes before a request is complete.
        wait_until(lambda: len(select.select(peers, [], [], 0)[0]) >= 5)
        refused = select.select(peers, [], [], 0)[0]
        for peer in refused:
            answer = peer.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
        assert len(refused) < 12
        assert resident(runtime) < 120 * 1024
        assert runtime.call("/x", method="POST", body=b"small").body == b"</x|small>"
    assert runtime.process.returncode == 0


@pytest.mark.parametrize(
    "stalled", [b"", b"GET /", post(b"Content-Length: 9\r\n", b"body")], ids=["idle", "head", "body"]
)
def test_too_many_connections_displace_the_one_that_waits_longest(
    runtime: CoreRuntimeProcess, stalled: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(runtime.connect())
        first.sendall(stalled)
        assert runtime.call("/x").body == b"</x|>"  # so what was sent before has been read
        peers = [stack.enter_context(runtime.connect()) for _ in range(600)]
        for peer in peers[:-1]:
            with contextlib.suppress(ConnectionError):
                peer.sendall(stalled)
        assert runtime.call("/x").body == b"</x|>"
        assert read_to_end(first) == b""
        assert runtime.call("/y").body == b"</y|>"
    assert len(list(Path(f"/proc/{runtime.process.pid}/fd").iterdir())) < 700


# The queue


def test_requests_are_served_one_at_a_time_in_their_order() -> None:
    source = (
        "BUSY, CALLS = [], []\n"
        "def handle(e, c):\n"
        "    BUSY.append(1)\n"
        "    wait_for_latch()\n"
        "    CALLS.append(e['path'])\n"
        "    return {'body': [CALLS, len(BUSY)]} if not BUSY.pop() else {'body': [CALLS, len(BUSY)]}\n"
    )
    with handler_latch() as latch, running_core_runtime(latch.source + source) as runtime:
        with contextlib.ExitStack() as stack:
            peers = []
            for number in range(20):
                peer = stack.enter_context(runtime.connect())
                peer.sendall(GET % b"/%d" % number)
                peers.append(peer)
                if not number:
                    wait_until(lambda: latch.waiting_count == 1)
                wait_until_received(peer)
            latch.release()
            answers = [peer.recv(65536) for peer in peers]
        for number, answer in enumerate(answers):
            expected = ",".join(f'"/{n}"' for n in range(number + 1))
            assert answer.endswith(f"[[{expected}],0]".encode())


def test_client_that_leaves_the_queue_is_not_served() -> None:
    source = "CALLS = []\ndef handle(e, c):\n    CALLS.append(e['path'])\n    wait_for_latch()\n    return CALLS\n"
    with handler_latch() as latch, running_core_runtime(latch.source + source) as runtime:
        with runtime.connect() as first:
            first.sendall(GET % b"/first")
            wait_until(lambda: latch.waiting_count == 1)
            with runtime.connect() as second:
                second.sendall(GET % b"/left")
                wait_until_received(second)
            with runtime.connect() as third:  # accepted and read after the end of the second one
                third.sendall(GET % b"/robots.txt")
                assert third.recv(100).startswith(b"HTTP/1.1 404 ")
            latch.release()
            assert first.recv(65536).endswith(b'["/first"]\n')
        assert runtime.call("/last").json() == ["/first", "/last"]


def test_client_that_leaves_during_its_request_frees_the_worker_when_the_handler_returns() -> None:
    source = "def handle(e, c):\n    wait_for_latch()\n    return e['path']\n"
    with handler_latch() as latch, running_core_runtime(latch.source + source) as runtime:
        with runtime.connect() as peer:
            peer.sendall(GET % b"/left")
            wait_until(lambda: latch.waiting_count == 1)
        latch.release()
        assert runtime.call("/x").body == b"/x"


@pytest.mark.long
def test_full_queue_is_a_503() -> None:
    source = "def handle(e, c):\n    wait_for_latch()\n    return 'fine'\n"
    with handler_latch() as latch, running_core_runtime(latch.source + source) as runtime:
        with contextlib.ExitStack() as stack:
            peers = []
            for number in range(102):
                peer = stack.enter_context(runtime.connect())
                peer.sendall(GET % b"/")
                wait_until_received(peer)
                peers.append(peer)
                if not number:
                    wait_until(lambda: latch.waiting_count == 1)
            assert b"f is at its maximum scale and its queue is full" in peers[-1].recv(65536)
            latch.release()
            assert all(peer.recv(65536).endswith(b"fine") for peer in peers[:-1])


# Addresses


def has_ipv6() -> bool:
    """Return whether this machine has the loopback address of IPv6."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


HAS_IPV6 = has_ipv6()


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(
    "address", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here"))]
)
def test_clients_of_both_address_families_are_served(address: str, age: str) -> None:
    source = "def handle(e, c):\n    return e['headers']['X-Forwarded-For']\n"
    with running_core_runtime(source, age=age) as runtime:
        with socket.create_connection((address, runtime.port), timeout=DEADLINE) as peer:
            host = f"[{address}]" if ":" in address else address
            peer.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{runtime.port}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = read_to_end(peer).partition(b"\r\n\r\n")
        assert (head.partition(b"\r\n")[0], body.decode()) == (b"HTTP/1.1 200 OK", address)


def test_ipv4_is_served_where_the_kernel_has_no_ipv6() -> None:
    """The socket module refuses the family as the kernel would: taking it away needs rights."""
    launcher = (
        "import errno, runpy, socket, sys\n"
        "class Socket(socket.socket):\n"
        "    def __init__(self, family=socket.AF_INET, *args, **options):\n"
        "        if family == socket.AF_INET6:\n"
        "            raise OSError(errno.EAFNOSUPPORT, 'Address family not supported by protocol')\n"
        "        super().__init__(family, *args, **options)\n"
        "socket.socket = Socket\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    with running_core_runtime(ECHO, launcher=launcher) as runtime:
        assert runtime.call("/x").body == b"</x|>"
