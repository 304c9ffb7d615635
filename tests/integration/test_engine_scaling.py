"""Scaling through the gateway: queues, timeouts, replaced instances, rolling updates, kills.

What every engine does, without HTTP and control, is in ``test_engine_conformance``.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.routing import ClockState, Route
from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.http_response import HttpResponse
from tests.support.metrics import wait_for_counts
from tests.support.waiting import wait_until

HANDLER = """
import uuid
INSTANCE = uuid.uuid4().hex

def handle(event, context):
    if event["path"] == "/wait":
        wait_for_latch()
    return {"body": {"instance": INSTANCE}}
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


@pytest.fixture
def latch() -> Iterator[HandlerLatch]:
    with handler_latch() as standing:
        yield standing


def call_concurrently(
    plane: DataPlaneProcess, latch: HandlerLatch, route: Route, count: int, rejected: int = 0
) -> list[HttpResponse]:
    """Call ``count`` times concurrently. Accepted calls are held until all have arrived."""
    busy = min(count, route.max_scale)
    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(plane.call, route.name, "/wait") for _ in range(count)]
        wait_for_counts(plane, route, busy=busy, waiting=count - busy - rejected)
        wait_until(lambda: latch.waiting_count == busy)
        wait_until(lambda: sum(call.done() for call in calls) == rejected)
        latch.release()
        replies = [call.result() for call in calls]
    latch.reset()
    return replies


def instance_id(reply: HttpResponse) -> str:
    document = reply.json()
    assert isinstance(document, dict)
    return str(document["instance"])


def test_request_returns_503_when_queue_is_full(plane: DataPlaneProcess, latch: HandlerLatch) -> None:
    route = plane.deploy("narrow", latch.source + HANDLER, max_scale=1)
    statuses = [reply.status for reply in call_concurrently(plane, latch, route, 110, rejected=9)]
    assert (statuses.count(200), statuses.count(503)) == (101, 9)  # one runs, a hundred wait


def test_timed_out_request_returns_504_and_its_instance_is_killed(plane: DataPlaneProcess) -> None:
    source = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def handle(e, c):\n    if e['path'] == '/hang':\n        time.sleep(60)\n    return 'fine'\n"
    )
    route = plane.deploy("hang", source, timeout=0.3, max_scale=1)
    reply = plane.call("hang", "/hang")
    assert reply.status == 504
    assert reply.json() == {"message": "hang did not answer within 0.3 s"}
    wait_until(lambda: plane.exit_reasons(route.function_id) == ["timed out after 0.3 s"])
    wait_until(lambda: plane.call("hang").body == b"fine")  # the timeout includes the start of the next instance


def test_out_of_memory_instance_is_replaced_and_logged(plane: DataPlaneProcess) -> None:
    source = "def handle(e, c):\n    if e['path'] == '/eat':\n        x = b'x' * (400 << 20)\n    return 'fine'\n"
    route = plane.deploy("oom", source, memory=128)
    assert plane.call("oom", "/eat").status in (500, 502)
    assert plane.call("oom").body == b"fine"
    assert plane.call("oom", "/eat").status in (500, 502)
    if os.geteuid() == 0:
        assert any("out of memory" in line.message for line in plane.log_lines(route) if line.stream == "system")


@pytest.mark.parametrize(
    ("text", "count", "reason"),
    [
        ("fatal error: out of memory", 200, "out of memory"),  # Go
        ("fatal error: out of memory", 2500, "exit 2"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", 20, "out of memory"),
        ("# Fatal process out of memory: Worklist::Segment::Create", 20, "out of memory"),  # V8, beside its heap
        ("PHP Fatal error:  Out of memory (allocated 2097152 bytes)", 0, "out of memory"),
        ("memory allocation of 8589934592 bytes failed", 0, "out of memory"),  # Rust
        ("the customer is out of memory cards", 0, "exit 2"),
    ],
)
def test_memory_error_of_a_program_counts_if_only_its_stack_follows(
    plane: DataPlaneProcess, text: str, count: int, reason: str
) -> None:
    source = f"""
import fcntl, os, struct, termios

def write(line):
    os.write(2, line)
    while struct.unpack("i", fcntl.ioctl(2, termios.FIONREAD, bytes(4)))[0]:
        pass  # so that each line is read alone

def handle(event, context):
    write(b"{text}\\n")
    for number in range({count}):
        write(b"goroutine %d [running]:\\n" % number)
    os._exit(2)
"""
    name = f"stack-{len(text)}-{count}"
    route = plane.deploy(name, source)
    reply = plane.call(name)
    assert (reply.status, reason in reply.body.decode()) == (502, True)
    wait_until(lambda: plane.exit_reasons(route.function_id) == [reason])


def test_killed_instance_is_replaced(plane: DataPlaneProcess) -> None:
    plane.deploy("victim", HANDLER, min_scale=1, max_scale=1)
    before = instance_id(plane.call("victim"))
    [victim] = plane.instances_of("victim")
    plane.kill_instance(victim)
    assert instance_id(plane.call("victim")) != before


def test_killed_zygote_and_its_instances_are_replaced(plane: DataPlaneProcess) -> None:
    plane.deploy("zygote-killed", HANDLER, min_scale=1)
    before = instance_id(plane.call("zygote-killed"))
    for zygote in plane.zygotes():
        os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: is_replaced(plane, "zygote-killed", before))


@pytest.mark.long
def test_killing_zygotes_during_forks_blocks_no_request(plane: DataPlaneProcess) -> None:
    plane.deploy("zygotes-killed", "def handle(e, c):\n    return 'alive'\n", min_scale=1, max_scale=3)
    for _ in range(60):
        for zygote in plane.zygotes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(zygote, signal.SIGKILL)
        assert plane.call("zygotes-killed").status in (200, 500, 502)
    wait_until(lambda: plane.call("zygotes-killed").body == b"alive")


def is_replaced(plane: DataPlaneProcess, name: str, before: str) -> bool:
    reply = plane.call(name)
    return reply.status == 200 and instance_id(reply) != before


def test_killed_zygote_ends_daemons_of_handlers(plane: DataPlaneProcess) -> None:
    source = (
        "import os, sys, time\n"
        "def handle(e, c):\n"
        "    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            time.sleep(300)\n        os._exit(0)\n"
        "    return 'daemonised'\n"
    )
    plane.deploy("daemon", source)
    assert plane.call("daemon").body == b"daemonised"
    zygote = plane.zygotes()[0]
    below = descendants(zygote)
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def test_missing_interpreter_fails_the_deployment(plane: DataPlaneProcess) -> None:
    route = plane.send_deploy("nothing", "x = 1\n", interpreter="/no/such/python")
    failed = plane.control.wait(
        lambda m: isinstance(m, routing.DeploymentFailed) and m.function_id == route.function_id
    )
    assert isinstance(failed, routing.DeploymentFailed)
    assert "/no/such/python" in failed.message


def test_update_under_load_loses_no_request(plane: DataPlaneProcess) -> None:
    plane.deploy("rolling", "def handle(e, c):\n    return 'v1'\n", max_scale=3)
    stop = threading.Event()
    seen: list[tuple[int, bytes]] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=60)
        while not stop.is_set():
            connection.request("GET", "/", headers={"Host": "rolling.test"})
            response = connection.getresponse()
            seen.append((response.status, response.read()))
        connection.close()

    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client) for _ in range(6)]
        for version in range(2, 8):
            plane.deploy("rolling", f"def handle(e, c):\n    return 'v{version}'\n", max_scale=3)
            assert plane.call("rolling").body == f"v{version}".encode()
        stop.set()
        for running in clients:
            running.result()
    assert {status for status, _ in seen} == {200}


def test_update_without_runtime_effect_keeps_instances(plane: DataPlaneProcess) -> None:
    route = plane.deploy("kept", HANDLER)
    before = instance_id(plane.call("kept"))
    changed = msgspec.structs.replace(route, hosts=("kept.test", "kept.example"), max_scale=2)
    plane.control.send_and_wait_for_ack(routing.UpsertRoute(version=plane.control.next_version(), route=changed))
    assert instance_id(plane.call("kept", host="kept.example")) == before


def test_removed_function_returns_404(plane: DataPlaneProcess) -> None:
    route = plane.deploy("removed", HANDLER)
    assert plane.call("removed").status == 200
    plane.control.send_and_wait_for_ack(
        routing.RemoveFunction(version=plane.control.next_version(), function_id=route.function_id)
    )
    assert plane.call("removed").status == 404


def test_last_instance_ends_after_the_configured_idle_time() -> None:
    start = time.time() + 1_000_000
    with running_data_plane(scale_to_zero_after=120.0) as plane:
        plane.deploy("idle", HANDLER)
        stop_clock(plane, start)
        before = instance_id(plane.call("idle"))
        stop_clock(plane, start + 119)
        assert len(plane.instances_of("idle")) == 1
        stop_clock(plane, start + 120)
        wait_until(lambda: not plane.instances_of("idle"))
        assert instance_id(plane.call("idle")) != before


def stop_clock(plane: DataPlaneProcess, platform_time: float) -> None:
    """Stop the platform's clock at a time."""
    clock = ClockState(platform_time=platform_time, real_time=time.time(), speed=0.0)
    plane.control.send_and_wait_for_ack(routing.ClockChanged(version=plane.control.next_version(), clock=clock))


def test_concurrent_calls_to_many_functions_succeed(plane: DataPlaneProcess) -> None:
    names = [f"many-{number}" for number in range(60)]
    code = plane.write_code("many", {"handler.py": "def handle(e, c):\n    return c['functionName']\n"})
    routes = [plane.route(name, code, max_scale=1, memory=128) for name in names]
    for route in routes:
        plane.control.send(routing.UpsertRoute(version=plane.control.next_version(), route=route))
    expected = {route.function_id for route in routes}
    wait_until(
        lambda: (
            expected <= {m.function_id for m in plane.control.received if isinstance(m, routing.DeploymentStarted)}
        )
    )
    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(lambda name: plane.call(name).body.decode(), names)) == names
