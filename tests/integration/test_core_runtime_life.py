"""How the core runtime starts and ends."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.core_runtime import (
    AGES,
    ENDS_WITHIN_RESPONSE,
    read_to_end,
    running_core_runtime,
    starting_core_runtime,
)
from tests.support.handler_cases import FAILED, RAISING_HANDLER
from tests.support.handler_latch import handler_latch
from tests.support.ports import is_listening
from tests.support.processes import descendants, is_alive
from tests.support.waiting import wait_until

LATCHED = "def handle(e, c):\n    wait_for_latch()\n    return 'done ' + e['path']\n"
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"

# The end of the worker


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(
    ("case", "reason", "code"),
    [("os-exit", "exit 3", 3), ("kill", "killed by signal 9", 137)],
)
def test_end_of_the_worker_is_answered_and_ends_the_core_runtime(
    case: str, reason: str, code: int, age: str
) -> None:
    with running_core_runtime(RAISING_HANDLER, age=age) as runtime:
        reply = runtime.call(f"/{case}")
        assert (reply.status, reply.headers["Connection"]) == (502, "close")
        assert reply.json() == {"message": f"the instance of f ended while it answered: {reason}"}
        assert runtime.wait() == code
        assert f"fnkit: the worker ended: {reason}" in runtime.lines


def test_worker_that_closes_its_socket_is_ended() -> None:
    with running_core_runtime(RAISING_HANDLER) as runtime:
        assert runtime.call("/close-all").status == 502
        assert runtime.wait() in (1, 137)  # it ends by itself or is killed, whichever is sooner


@pytest.mark.parametrize(("argument", "code"), [("", 0), ("4", 4), ("'bye'", 1)])
def test_sys_exit_is_answered_and_ends_the_core_runtime_with_its_code(argument: str, code: int) -> None:
    source = f"import sys\ndef handle(e, c):\n    sys.exit({argument})\n"
    with running_core_runtime(source) as runtime:
        reply = runtime.call()
        assert reply.status == 500
        assert reply.text.startswith(FAILED + "SystemExit")
        assert runtime.wait() == code


def test_end_of_an_idle_worker_ends_the_core_runtime() -> None:
    with running_core_runtime(RAISING_HANDLER) as runtime:
        os.kill(runtime.worker, signal.SIGSEGV)
        assert runtime.wait() == 128 + signal.SIGSEGV


def test_end_of_the_worker_before_it_is_ready_ends_the_core_runtime() -> None:
    with starting_core_runtime("import os\nos._exit(5)\n") as runtime:
        assert runtime.wait() == 5
        assert runtime.lines == ["fnkit: the worker ended before it was ready: exit 5"]


@pytest.mark.parametrize("sent", ["HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n", "x", "{}"])
def test_handler_cannot_answer_past_the_worker(sent: str) -> None:
    """What it writes to the worker's socket itself does not repeat the nonce of the request."""
    source = (
        "import os, socket, stat\n"
        "def handle(e, c):\n"
        "    for fd in range(3, 50):\n"
        "        try:\n"
        "            if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b'" + sent + "')\n"
        "        except OSError: pass\n"
        "    return 'x'\n"
    )
    with running_core_runtime(source) as runtime:
        reply = runtime.call()
        assert reply.status == 502
        assert runtime.wait() == 137


def test_queued_requests_get_a_503_when_the_worker_ends() -> None:
    source = "import os\ndef handle(e, c):\n    wait_for_latch()\n    os._exit(3)\n"
    with handler_latch() as latch, running_core_runtime(latch.source + source) as runtime:
        with runtime.connect() as first, runtime.connect() as second, runtime.connect() as third:
            first.sendall(GET % b"/1")
            wait_until(lambda: latch.waiting_count == 1)
            second.sendall(GET % b"/2")
            third.sendall(GET % b"/robots.txt")  # whose response shows that the second request was read
            assert third.recv(100).startswith(b"HTTP/1.1 404 ")
            latch.release()
            assert read_to_end(first).startswith(b"HTTP/1.1 502 ")
            assert b'{"message":"f is no longer served"}' in read_to_end(second)
        assert runtime.wait() == 3


@pytest.mark.parametrize("age", AGES)
def test_timeout_kills_the_worker_and_is_a_504(age: str) -> None:
    source = "import time\ndef handle(e, c):\n    while True: time.sleep(60)\n"
    with running_core_runtime(source, age=age, settings={"FNKIT_TIMEOUT_SECONDS": "0.5"}) as runtime:
        worker = runtime.worker
        reply = runtime.call()
        assert (reply.status, reply.json()) == (504, {"message": "f did not answer within 0.5 s"})
        assert runtime.wait() == 1
        assert not is_alive(worker)


def test_timeout_in_the_queue_does_not_kill_the_worker() -> None:
    settings = {"FNKIT_TIMEOUT_SECONDS": "1.5"}
    source = "def handle(e, c):\n    wait_for_latch()\n    return 'x'\n"
    with handler_latch() as latch, running_core_runtime(latch.source + source, settings=settings) as runtime:
        with runtime.connect() as first:
            first.sendall(GET % b"/1")
            wait_until(lambda: latch.waiting_count == 1)
            assert runtime.call().status in (503, 504)  # 503 if it did not wait as long as the first one
            assert b"504 Gateway Timeout" in read_to_end(first)
        assert runtime.wait() == 1


def test_end_of_a_response_that_is_sent_closes_the_connection() -> None:
    """A client must see that the rest is missing."""
    with (
        handler_latch() as latch,
        running_core_runtime(latch.source + ENDS_WITHIN_RESPONSE, memory=1024) as runtime,
        runtime.connect() as peer,
    ):
        peer.sendall(GET % b"/")
        assert peer.recv(12) == b"HTTP/1.1 200"
        latch.release()
        assert runtime.wait() == 3
        assert len(read_to_end(peer)) < 80_000_000


# Signals


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_an_idle_core_runtime_and_its_worker(number: signal.Signals, age: str) -> None:
    with running_core_runtime(RAISING_HANDLER, age=age) as runtime, runtime.connect() as idle:
        worker = runtime.worker
        assert runtime.stop(number) == 0
        assert not is_alive(worker)
        assert read_to_end(idle) == b""
        assert "Traceback" not in runtime.output


def test_requests_in_progress_end_before_the_core_runtime_does() -> None:
    with handler_latch() as latch, running_core_runtime(latch.source + LATCHED) as runtime:
        with runtime.connect() as first, runtime.connect() as second, runtime.connect() as third:
            first.sendall(GET % b"/1")
            wait_until(lambda: latch.waiting_count == 1)
            second.sendall(GET % b"/2")
            third.sendall(GET % b"/robots.txt")
            assert third.recv(100).startswith(b"HTTP/1.1 404 ")
            runtime.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not is_listening("127.0.0.1", runtime.port))
            latch.release()
            for peer, path in ((first, b"/1"), (second, b"/2")):
                answer = read_to_end(peer)
                assert answer.endswith(b"done " + path)
                assert b"\r\nconnection: close\r\n" in answer
        assert runtime.wait() == 0


@pytest.mark.long
def test_request_that_does_not_end_is_ended_after_ten_seconds() -> None:
    with handler_latch() as latch, running_core_runtime(latch.source + LATCHED) as runtime:
        with runtime.connect() as first:
            first.sendall(GET % b"/1")
            wait_until(lambda: latch.waiting_count == 1)
            runtime.process.send_signal(signal.SIGTERM)
            answer = read_to_end(first)
        assert b"the instance of f ended while it answered: the instance is stopping" in answer
        assert runtime.wait() == 0


def test_signal_during_the_import_ends_the_core_runtime() -> None:
    source = "print('importing', flush=True)\nwait_for_latch()\n" + LATCHED
    with handler_latch() as latch, starting_core_runtime(latch.source + source) as runtime:
        wait_until(lambda: latch.waiting_count == 1)
        assert not is_listening("127.0.0.1", runtime.port)
        worker = runtime.worker
        assert runtime.stop() == 0
        assert not is_alive(worker)


def test_it_listens_only_when_the_handler_is_imported() -> None:
    source = "wait_for_latch()\n" + LATCHED
    with handler_latch() as latch, starting_core_runtime(latch.source + source) as runtime:
        wait_until(lambda: latch.waiting_count == 1)
        assert not is_listening("127.0.0.1", runtime.port)
        latch.release()
        runtime.wait_until_listening()
        assert runtime.call("/x").body == b"done /x"


def test_processes_without_a_parent_are_reaped() -> None:
    """It gets them as the first process of a container does."""
    source = (
        "import os, subprocess\n"
        "def handle(e, c):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        subprocess.Popen(['true'])\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    return 'x'\n"
    )
    program = (
        "import ctypes, os, sys\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"  # PR_SET_CHILD_SUBREAPER
        "os.execv(sys.executable, [sys.executable, '-I', '-S', *sys.argv[1:]])\n"
    )
    with running_core_runtime(source, launcher=program) as runtime:
        for _ in range(3):
            assert runtime.call().body == b"x"
        wait_until(lambda: descendants(runtime.process.pid) == {runtime.worker})
        tasks = Path(f"/proc/{runtime.process.pid}/task/{runtime.process.pid}/children")
        wait_until(lambda: tasks.read_text().split() == [str(runtime.worker)])


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SCW_HANDLER_NAME": None}, "the environment variable SCW_HANDLER_NAME is missing"),
        ({"SCW_HANDLER_PATH": ""}, "the environment variable SCW_HANDLER_PATH is missing"),
        ({"SCW_HANDLER_PATH": "/etc/passwd"}, "SCW_HANDLER_PATH='/etc/passwd' is not below {code}"),
        ({"SCW_APPLICATION_NAME": None}, "the environment variable SCW_APPLICATION_NAME is missing"),
        ({"SCW_APPLICATION_MEMORY": "much"}, "SCW_APPLICATION_MEMORY='much' is not a number from 1 to 2147483648"),
        ({"PORT": "0"}, "PORT='0' is not a number from 1 to 65535"),
        ({"PORT": "65536"}, "PORT='65536' is not a number from 1 to 65535"),
        ({"FNKIT_TIMEOUT_SECONDS": "-1"}, "FNKIT_TIMEOUT_SECONDS='-1' is not a positive number of seconds"),
        ({"FNKIT_IDLE_SECONDS": "nan"}, "FNKIT_IDLE_SECONDS='nan' is not a positive number of seconds"),
        ({"FNKIT_INSTANCE_KEY": ""}, "the environment variable FNKIT_INSTANCE_KEY is empty"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_setting_ends_the_program_with_one_line(settings: dict[str, str | None], message: str) -> None:
    with starting_core_runtime(LATCHED, settings=settings) as runtime:
        assert runtime.wait() == 2
        start = "system - fnkit: " if "FNKIT_INSTANCE_KEY" in settings else "fnkit: "
        assert runtime.lines == [start + message.format(code=runtime.folder / "code")]


def test_used_port_ends_the_program_with_one_line() -> None:
    with socket.create_server(("0.0.0.0", 0)) as used:
        port = used.getsockname()[1]
        with starting_core_runtime(LATCHED, settings={"PORT": str(port)}) as runtime:
            assert runtime.wait() == 2
            assert runtime.lines == [f"fnkit: port {port} cannot be used: Address already in use"]


def test_handler_of_an_image_is_found_below_another_directory() -> None:
    settings = {"SCW_HANDLER_PATH": "/home/app/function/a/b"}
    files = {"a/b.py": "def handle(e, c):\n    return 'found'\n"}
    with running_core_runtime(files, settings=settings) as runtime:
        assert runtime.call().body == b"found"
