"""How the core runtime serves a platform's gateway, which knows the instance key."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.data_plane.instance_connection import lookup_head
from tests.support.core_runtime import (
    AGES,
    ENDS_WITHIN_RESPONSE,
    CoreRuntimeProcess,
    read_to_end,
    wait_until_received,
)
from tests.support.handler_latch import handler_latch
from tests.support.instance_client import (
    INSTANCE_KEY,
    InstanceClient,
    is_silent,
    running_instance,
    starting_instance,
)
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

KEY = INSTANCE_KEY
DIRECT = (
    "import os, signal\n"
    "def handle(event, context):\n"
    "    if event == 'exit': os._exit(3)\n"
    "    if event == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
    "    if event == 'raise': raise ValueError('boom')\n"
    "    if event == 'sys.exit': raise SystemExit(4)\n"
    "    if event == 'wait': os.read(os.pipe()[0], 1)\n"
    "    return {'statusCode': 201, 'body': [event, context]}\n"
)
WORKER_FRAME = (
    "import sys, time\n"
    "def find_worker():\n"
    "    frame = sys._getframe()\n"
    "    while 'reader' not in frame.f_locals: frame = frame.f_back\n"
    "    return frame.f_locals['connection'], frame.f_locals['reader'].nonce_line\n"
)
"""What a handler needs to send a response past the worker."""


def document(event: object) -> bytes:
    return json.dumps({"event": event, "context": {"a": 1}}).encode()


# Requests and responses


@pytest.mark.parametrize("age", AGES)
def test_responses_have_the_heads_of_the_worker_and_end_with_the_nonce(age: str) -> None:
    with running_instance(DIRECT, age=age) as runtime, InstanceClient(runtime) as client:
        reply = client.call("x")
        assert reply.head == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 40"
        assert (reply.body, reply.closes) == (b'{"body":["x",{"a":1}],"statusCode":201}\n', False)
        assert lookup_head(reply.raw, b"\r\n" + client.nonce_line) is not None
        reply = client.call("raise")
        content_type = b"text/plain; charset=utf-8"
        assert reply.head == (
            b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: %b\r\ncontent-length: 4" % content_type
        )
        assert (reply.body, reply.closes) == (b"boom", False)
        client.send("exit", key="wrong")
        reply = client.receive()
        assert (reply.raw.partition(b"\r\n")[0], reply.body) == (b"HTTP/1.1 403 Forbidden", b"")
        assert reply.headers == {b"content-length": b"0", b"connection": b"close"}


def test_request_without_a_nonce_gets_a_response_without_one() -> None:
    with running_instance(DIRECT) as runtime:
        for path in ("/", "/favicon.ico"):
            headers = {"Fnkit-Instance-Key": KEY}
            reply = runtime.call(path, method="POST", body=document("x"), headers=headers)
            assert (reply.status, reply.headers.items()) == (
                200,
                [("content-type", "application/json"), ("content-length", "40")],
            )
        assert runtime.raw_output == b""


def test_rejected_request_gets_a_response_with_the_nonce() -> None:
    with running_instance(DIRECT) as runtime, InstanceClient(runtime) as client:
        client.send("x", more="upgrade: websocket\r\n")
        reply = client.receive()
        assert (reply.status, reply.closes) == (400, True)


@pytest.mark.parametrize(
    "lines",
    [b"", b"fnkit-instance-key: 3d7c2f0f\r\n", b"fnkit-instance-key:\r\n", b"fnkit-instance-key: 3d7c2f0e\r\n" * 2],
    ids=["missing", "wrong", "empty", "twice"],
)
def test_request_without_the_key_does_nothing(lines: bytes) -> None:
    with running_instance(DIRECT) as runtime:
        body = document("exit")
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(body)
        probe = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        for request in (head + lines + b"\r\n" + body, probe + lines + b"\r\n"):
            raw = runtime.send_raw(request)
            assert raw.startswith(b"HTTP/1.1 403 Forbidden\r\n")
            assert raw.endswith(b"\r\n\r\n")
        with InstanceClient(runtime) as client:
            assert client.call("x").status == 200


def test_large_document_of_the_gateway_is_accepted() -> None:
    with running_instance(DIRECT, SCW_APPLICATION_MEMORY="1024") as runtime, InstanceClient(runtime) as client:
        reply = client.call("x" * 34_000_000)
        assert reply.status == 200
        assert len(reply.body) > 34_000_000


def test_key_is_in_no_output_or_environment() -> None:
    with running_instance(DIRECT) as runtime:
        runtime.call(method="POST", body=document("x"), headers={"fnkit-instance-key": "wrong"})
        assert KEY not in runtime.output
        environment = Path(f"/proc/{runtime.worker}/environ").read_bytes()
        assert KEY.encode() not in environment
        assert b"FNKIT_" not in environment


def test_withheld_variables_are_not_in_the_environment() -> None:
    source = "import os\ndef handle(event, context):\n    return {'body': dict(os.environ)}\n"
    with (
        running_instance(
            source,
            LEVEL="info",
            HOSTNAME="pod",
            NODE_ADDRESS="10.0.0.1",
            FNKIT_WITHHELD_VARIABLES="HOSTNAME,NODE_ADDRESS",
        ) as runtime,
        InstanceClient(runtime) as client,
    ):
        found = json.loads(client.call("x").body)["body"]
    assert found["LEVEL"] == "info"
    assert found.keys().isdisjoint({"HOSTNAME", "NODE_ADDRESS", "FNKIT_WITHHELD_VARIABLES"})


def test_headers_that_belong_to_the_core_runtime_are_not_forwarded() -> None:
    source = WORKER_FRAME + (
        "def handle(e, c):\n"
        "    connection, nonce_line = find_worker()\n"
        "    connection.sendall(b'HTTP/1.1 ' + e.encode() + b'\\r\\ncontent-length: 2\\r\\n"
        "Fnkit-Instance-Ended: forged\\r\\nfnkit-x: y\\r\\ntransfer-encoding: chunked\\r\\nx-own: kept'\n"
        "        + nonce_line + b'\\r\\n\\r\\nab')\n"
        "    while True: time.sleep(60)\n"
    )
    for status, headers, body in (
        ("502 Bad Gateway", {b"x-own": b"kept", b"content-length": b"2"}, b"ab"),
        ("204 No Content", {b"x-own": b"kept"}, b""),
    ):
        with running_instance(source) as runtime, InstanceClient(runtime) as client:
            reply = client.call(status)
            assert (reply.status, reply.headers, reply.body) == (int(status[:3]), headers, body)


# Probes


def test_probe_says_why_the_handler_could_not_be_imported() -> None:
    source = "raise LookupError('no \\u20ac\\n' + 3000 * 'x')\n"
    with running_instance(source) as runtime, InstanceClient(runtime) as client:
        client.send_probe()
        reply = client.receive()
    assert reply.status == 204
    error = json.loads(reply.headers[b"fnkit-import-error"])
    assert len(error) == 2000  # the end of the traceback
    assert error.rstrip().endswith("xxx")


@pytest.mark.parametrize("age", AGES)
def test_probe_is_answered_when_the_worker_has_completed_the_requests_before_it(age: str) -> None:
    source = "def handle(e, c):\n    print(e)\n    wait_for_latch()\n    return e\n"
    with (
        handler_latch() as latch,
        running_instance(latch.source + source, age=age) as runtime,
        InstanceClient(runtime) as first,
        InstanceClient(runtime) as probing,
        InstanceClient(runtime) as last,
    ):
        probing.send_probe()
        reply = probing.receive()
        assert (reply.raw.partition(b"\r\n")[0], reply.headers, reply.closes) == (
            b"HTTP/1.1 204 No Content",
            {},
            False,
        )
        first.send("first")
        wait_until(lambda: latch.waiting_count == 1)
        probing.send_probe()
        wait_until_received(probing.peer)
        last.send("last")
        wait_until_received(last.peer)
        assert is_silent(probing.peer)
        latch.release()
        assert (first.receive().body, probing.receive().status, last.receive().body) == (b"first", 204, b"last")
        assert runtime.lines == ["stdout r first", "stdout r last"]


def test_probe_with_a_wrong_key_is_a_403_at_once() -> None:
    source = "def handle(e, c):\n    wait_for_latch()\n"
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as first,
        InstanceClient(runtime) as probing,
    ):
        first.send("first")
        wait_until(lambda: latch.waiting_count == 1)
        probing.send_probe(key="wrong")
        reply = probing.receive()
        assert (reply.status, reply.closes) == (403, False)


# The end of the worker


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(
    ("event", "reason", "code"),
    [
        ("exit", b"exit 3", 3),
        ("kill", b"killed by signal 9", 137),
        ("wait", b"f did not answer within 1 s", 1),
    ],
)
def test_gateway_is_told_why_the_worker_ended(event: str, reason: bytes, code: int, age: str) -> None:
    timeout = "1" if event == "wait" else "300"
    with (
        running_instance(DIRECT, age=age, FNKIT_TIMEOUT_SECONDS=timeout) as runtime,
        InstanceClient(runtime) as client,
    ):
        worker = runtime.worker
        reply = client.call(event)
        assert (reply.status, reply.body, reply.closes) == (502, b"", True)
        ended = {b"fnkit-instance-ended": reason, b"content-length": b"0", b"connection": b"close"}
        assert reply.headers == ended
        assert read_to_end(client.peer) == b""
        assert not is_alive(worker)
        assert runtime.wait() == code
        assert runtime.lines == [f"system - fnkit: the worker ended: {reason.decode()}"]


def test_reason_is_one_line_of_ascii_with_at_most_200_characters() -> None:
    name = "é\n" + "f" * 300
    with (
        running_instance(DIRECT, FNKIT_TIMEOUT_SECONDS="0.2", SCW_APPLICATION_NAME=name) as runtime,
        InstanceClient(runtime) as client,
    ):
        reason = client.call("wait").headers[b"fnkit-instance-ended"]
        assert reason == b"\\xe9\\n" + b"f" * 194


def test_gateway_is_told_that_a_response_was_invalid() -> None:
    source = WORKER_FRAME + "def handle(e, c):\n    find_worker()[0].sendall(b'nonsense\\r\\n\\r\\n')\n"
    with running_instance(source) as runtime, InstanceClient(runtime) as client:
        reply = client.call("x")
        assert (reply.status, reply.headers[b"fnkit-instance-ended"]) == (502, b"its response was not HTTP")


def test_requests_that_the_worker_did_not_get_end_with_the_connection() -> None:
    source = "import os\ndef handle(e, c):\n    wait_for_latch()\n    os._exit(3)\n"
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as first,
        InstanceClient(runtime) as second,
        InstanceClient(runtime) as probing,
    ):
        first.send("x")
        wait_until(lambda: latch.waiting_count == 1)
        second.send("x")
        probing.send_probe()
        wait_until_received(second.peer)
        wait_until_received(probing.peer)
        latch.release()
        assert first.receive().status == 502
        assert (read_to_end(second.peer), read_to_end(probing.peer)) == (b"", b"")


def test_end_of_the_worker_within_a_response_closes_the_connection() -> None:
    with (
        handler_latch() as latch,
        running_instance(latch.source + ENDS_WITHIN_RESPONSE, memory=1024) as runtime,
        InstanceClient(runtime) as client,
    ):
        client.send("x")
        start = client.peer.recv(65536)
        assert start.startswith(b"HTTP/1.1 200 OK")
        latch.release()
        assert runtime.wait() == 3
        rest = read_to_end(client.peer)
        assert len(rest) < 80_000_000
        assert b"502" not in rest


def test_last_response_of_a_worker_that_exits_closes_the_connection() -> None:
    with running_instance(DIRECT) as runtime, InstanceClient(runtime) as client:
        reply = client.call("sys.exit")
        assert (reply.status, reply.body, reply.closes) == (500, b"SystemExit: 4", True)
        assert runtime.wait() == 4


# Output


@pytest.mark.parametrize("age", AGES)
def test_output_names_its_stream_and_request_and_precedes_the_response(age: str) -> None:
    source = (
        "import os, sys\n"
        "print('import')\n"
        "print('import', 1, file=sys.stderr)\n"
        "def handle(e, c):\n"
        "    print('out', e)\n"
        "    print('err', e, file=sys.stderr)\n"
        "    print()\n"
        "    os.write(1, b'\\xff\\x00\\rraw ' + e.encode())\n"
        "    return e\n"
    )
    with running_instance(source, age=age) as runtime, InstanceClient(runtime) as client:
        assert sorted(runtime.lines) == ["stderr - import 1", "stdout - import"]
        before = len(runtime.raw_output)
        for event, request_id in (("a", "one"), ("b", "two"), ("c", "in valid")):
            client.call(event, request_id=request_id)
            written = runtime.raw_output[before:]
            before += len(written)
            name = request_id.encode() if " " not in request_id else b"-"
            letter = event.encode()
            assert sorted(written.split(b"\n")) == [
                b"",
                b"stderr %b err %b" % (name, letter),
                b"stdout %b " % name,
                b"stdout %b out %b" % (name, letter),
                b"stdout %b \xff\x00\rraw %b" % (name, letter),
            ]


def test_output_before_the_end_of_the_worker_precedes_the_message_of_the_core_runtime() -> None:
    source = "import os\ndef handle(e, c):\n    os.write(2, b'last words')\n    os._exit(3)\n"
    with running_instance(source) as runtime, InstanceClient(runtime) as client:
        client.call("x", request_id="one")
        assert runtime.lines[0] == "stderr one last words"
        runtime.wait()
        assert runtime.lines[1:] == ["system - fnkit: the worker ended: exit 3"]


@contextlib.contextmanager
def stopped(runtime: CoreRuntimeProcess) -> Iterator[None]:
    """Stop the core runtime, so that what its worker does meanwhile arrives at once."""
    runtime.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        runtime.process.send_signal(signal.SIGCONT)


WRITE_60_KB = "import os\ndef write():\n    for fd in (1, 2): os.write(fd, (b'x' * 99 + b'\\n') * 600)\n"


def test_everything_that_is_written_before_a_response_precedes_it(tmp_path: Path) -> None:
    source = (
        WRITE_60_KB
        + WORKER_FRAME
        + (
            "def handle(e, c):\n"
            "    wait_for_latch()\n"
            "    connection, nonce_line = find_worker()\n"
            "    write()\n"
            "    connection.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 0' + nonce_line + b'\\r\\n\\r\\n')\n"
            "    open(e, 'w').close()\n"
            "    while True: time.sleep(60)\n"
        )
    )
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as client,
    ):
        client.send(str(tmp_path / "sent"))
        wait_until(lambda: latch.waiting_count == 1)
        with stopped(runtime):
            latch.release()
            wait_until((tmp_path / "sent").exists)
        assert client.receive().status == 200
        text = "x" * 99
        assert sorted(runtime.lines) == [f"stderr r {text}"] * 600 + [f"stdout r {text}"] * 600


def test_everything_that_is_written_before_the_end_of_the_worker_is_in_the_log() -> None:
    source = WRITE_60_KB + "def handle(e, c):\n    wait_for_latch()\n    write()\n    os._exit(3)\n"
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as client,
    ):
        worker = runtime.worker
        client.send("x")
        wait_until(lambda: latch.waiting_count == 1)
        with stopped(runtime):
            latch.release()
            wait_until(lambda: not is_alive(worker))
        assert client.receive().status == 502
        text = "x" * 99
        assert sorted(runtime.lines[:1200]) == [f"stderr r {text}"] * 600 + [f"stdout r {text}"] * 600


def test_output_before_a_request_does_not_belong_to_it(tmp_path: Path) -> None:
    source = WRITE_60_KB + (
        "import threading\n"
        "def handle(e, c):\n"
        "    if e: threading.Thread(target=write_late, args=[e]).start()\n"
        "    else: print('next')\n"
        "def write_late(path):\n"
        "    wait_for_latch()\n"
        "    write()\n"
        "    open(path, 'w').close()\n"
    )
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as client,
    ):
        client.call(str(tmp_path / "written"), request_id="1")
        wait_until(lambda: latch.waiting_count == 1)
        with stopped(runtime):
            latch.release()
            wait_until((tmp_path / "written").exists)
            client.send("", request_id="2")
        assert client.receive().status == 200
        text = "x" * 99
        lines = sorted(runtime.lines)
        assert lines == [f"stderr - {text}"] * 600 + [f"stdout - {text}"] * 600 + ["stdout 2 next"]


def test_traceback_of_a_failed_import_belongs_to_no_request() -> None:
    with running_instance("1 / 0\n") as runtime:
        assert runtime.lines[-1] == "stderr - ZeroDivisionError: division by zero"
        assert all(line.startswith("stderr - ") for line in runtime.lines)


def test_output_between_requests_belongs_to_none() -> None:
    source = (
        "import threading\n"
        "def handle(e, c):\n"
        "    if e == 'start': threading.Thread(target=write).start()\n"
        "    return e\n"
        "def write():\n"
        "    wait_for_latch()\n"
        "    print('late')\n"
    )
    with (
        handler_latch() as latch,
        running_instance(latch.source + source) as runtime,
        InstanceClient(runtime) as client,
    ):
        client.call("start", request_id="one")
        wait_until(lambda: latch.waiting_count == 1)
        latch.release()
        wait_until(lambda: runtime.lines == ["stdout - late"])


def test_long_line_is_cut_and_ends_with_its_request() -> None:
    source = "import os\ndef handle(e, c):\n    os.write(1, e.encode())\n    return ''\n"
    with running_instance(source) as runtime, InstanceClient(runtime) as client:
        client.call("a" * 65536 + "\n" + "b" * 65537 + "\nc\n" + "d" * 200_000, request_id="1")
        client.call("e\n", request_id="2")
        texts = ["1 " + "a" * 65536, "1 " + "b" * 65536, "1 c", "1 " + "d" * 65536, "2 e"]
        assert runtime.lines == [f"stdout {text}" for text in texts]


@pytest.mark.parametrize("age", AGES)
def test_handler_that_writes_more_than_is_read_is_slowed_down(age: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    launcher = (
        f"import os, sys; os.dup2(os.open({str(log)!r}, os.O_WRONLY), 1)\n"
        "os.execv(sys.executable, [sys.executable, '-I', '-S', sys.argv[1]])\n"
    )
    source = "def handle(e, c):\n    for number in range(100_000): print(number, 'x' * 100)\n    return 'done'\n"
    os.mkfifo(log)
    descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    with (
        os.fdopen(descriptor, "rb") as reader,
        running_instance(source, age=age, launcher=launcher) as runtime,
        InstanceClient(runtime) as client,
    ):
        client.send_probe()
        client.receive()
        used = peak_memory(runtime)
        client.send("x")
        expected = b"".join(b"stdout r %d %b\n" % (number, b"x" * 100) for number in range(100_000))
        os.set_blocking(descriptor, True)
        assert reader.read(len(expected)) == expected
        assert client.receive().body == b"done"
        assert peak_memory(runtime) - used < 4 * 1024


def peak_memory(runtime: CoreRuntimeProcess) -> int:
    """Return the most memory that the core runtime has had, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{runtime.process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_process_that_holds_the_pipes_does_not_keep_the_core_runtime_from_ending() -> None:
    source = (
        "import os, subprocess\n"
        "def handle(e, c):\n"
        "    print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)\n"
        "    if e == 'exit': os._exit(3)\n"
        "    return 'x'\n"
    )
    for event, code in (("exit", 3), ("stop", 0)):
        with running_instance(source) as runtime, InstanceClient(runtime) as client:
            client.call(event)
            child = int(runtime.lines[0].split()[2])
            try:
                assert is_alive(child)
                assert (runtime.wait() if event == "exit" else runtime.stop()) == code
                assert is_alive(child)
            finally:
                os.kill(child, signal.SIGKILL)


def test_handler_that_closes_its_streams_is_served() -> None:
    source = "import os\ndef handle(e, c):\n    os.close(1)\n    os.close(2)\n    return 'x'\n"
    with running_instance(source) as runtime, InstanceClient(runtime) as client:
        assert client.call("x").body == b"x"
        client.send_probe()
        assert client.receive().status == 204


def test_problem_of_the_start_is_a_line_of_the_system() -> None:
    with socket.create_server(("0.0.0.0", 0)) as used:
        port = used.getsockname()[1]
        with starting_instance(DIRECT, PORT=str(port)) as runtime:
            assert runtime.wait() == 2
            assert runtime.lines == [f"system - fnkit: port {port} cannot be used: Address already in use"]
    with starting_instance("import os\nos._exit(5)\n") as runtime:
        assert runtime.wait() == 5
        assert runtime.lines == ["system - fnkit: the worker ended before it was ready: exit 5"]
