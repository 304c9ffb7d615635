"""The data-plane process: messages from control, operation without control, shutdown."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.delivery_protocol import encode_request_frame
from fnkit.platform.model.routing import ClockState, Snapshot
from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.foreign_process import bytes_from_socket
from tests.support.handler_latch import handler_latch
from tests.support.metrics import wait_for_counts
from tests.support.resource_counts import PREWARMED
from tests.support.waiting import wait_until

HELLO = "def handle(e, c):\n    return 'hello'\n"
BLOCKING = "def handle(e, c):\n    wait_for_latch()\n    return 'done'\n"


def snapshot(plane: DataPlaneProcess, *routes: routing.Route) -> Snapshot:
    clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
    return Snapshot(version=plane.control.next_version(), clock=clock, routes=routes)


def test_data_plane_imports_neither_control_nor_store() -> None:
    code = (
        "import sys, fnkit.platform.data_plane.process\n"
        "print('\\n'.join(name for name in sys.modules if name.startswith('fnkit.')))\n"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    allowed = (
        "fnkit.authoring",
        "fnkit.contract",
        "fnkit.errors",
        "fnkit.platform.data_plane",
        "fnkit.platform.directory_tree",
        "fnkit.platform.listening_sockets",
        "fnkit.platform.model",
        "fnkit.platform.peers",
        "fnkit.worker",
    )
    parents = ("fnkit.platform",)
    assert [name for name in listed if not name.startswith(allowed) and name not in parents] == []


def test_data_plane_imports_cryptography_only_when_it_needs_it() -> None:
    code = "import sys, fnkit.platform.data_plane.process\nprint({'cryptography', 'jwt'} & set(sys.modules))\n"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert listed == "set()\n"


def test_requests_and_health_check_are_503_before_first_snapshot() -> None:
    with running_data_plane(send_snapshot=False) as plane:
        plane.control.wait(lambda m: isinstance(m, routing.Handshake))
        assert plane.call("hello").status == 503
        assert plane.call_private_listener("localhost", "/healthz").status == 503
        plane.control.send_and_wait_for_ack(snapshot(plane))
        plane.control.wait(lambda m: isinstance(m, routing.DataPlaneHealthy))
        assert plane.call("hello").status == 404
        assert plane.call_private_listener("localhost", "/healthz").status == 200


def test_process_outside_the_platform_cannot_use_the_private_sockets() -> None:
    with running_data_plane() as plane:
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert bytes_from_socket(plane.settings.gateway_socket, request) == b""
        delivery = encode_request_frame(1, "hello.test", "text/plain", b"")
        assert bytes_from_socket(plane.settings.delivery_socket, delivery) == b""
        assert plane.call_private_listener("localhost", "/healthz").status == 200


def test_data_plane_is_healthy_once_min_scale_is_reached() -> None:
    with running_data_plane(send_snapshot=False) as plane:
        handshake = plane.control.wait(lambda m: isinstance(m, routing.Handshake))
        assert isinstance(handshake, routing.Handshake)
        assert handshake.pid == plane.process.pid
        assert handshake.gateway_port == plane.port
        route = plane.route("warm", plane.write_code("warm", {"handler.py": HELLO}), min_scale=2)
        plane.control.send(snapshot(plane, route))
        plane.control.wait(lambda m: isinstance(m, routing.DataPlaneHealthy))
        assert len(plane.instances()) >= 2
        assert plane.call("warm").body == b"hello"


def test_failed_min_scale_start_does_not_block_health() -> None:
    with running_data_plane(send_snapshot=False) as plane:
        dying = plane.route(
            "dying", plane.write_code("dying", {"handler.py": "import os; os._exit(1)"}), min_scale=1
        )
        plane.control.send(snapshot(plane, dying))
        plane.control.wait(lambda m: isinstance(m, routing.DataPlaneHealthy))
        assert plane.call("dying").status == 502


def test_data_plane_serves_without_control_and_reconnects() -> None:
    with running_data_plane() as plane:
        plane.deploy("steady", HELLO)
        plane.control.disconnect()
        assert plane.call("steady").body == b"hello"
        plane.control.initial_snapshot = None
        before = plane.control.connections
        plane.control.listen()
        wait_until(lambda: plane.control.connections > before)
        assert plane.call("steady").body == b"hello"
        plane.deploy("later", HELLO)
        assert plane.call("later").body == b"hello"


def test_snapshot_replaces_routes_and_keeps_unchanged_instances() -> None:
    with running_data_plane() as plane:
        source = "import uuid\nINSTANCE = uuid.uuid4().hex\ndef handle(e, c):\n    return INSTANCE\n"
        kept = plane.deploy("kept", source)
        plane.deploy("dropped", HELLO)
        instance = plane.call("kept").body
        new = plane.route("new", plane.write_code("new", {"handler.py": HELLO}))
        plane.control.send_and_wait_for_ack(snapshot(plane, kept, new))
        assert plane.call("kept").body == instance
        assert plane.call("dropped").status == 404
        assert plane.call("new").body == b"hello"


def test_invalid_control_message_only_resets_the_connection() -> None:
    with running_data_plane() as plane:
        plane.deploy("steady", HELLO)
        before = plane.control.connections
        peer = plane.control._peer
        assert peer is not None
        peer.sendall(b"\x00\x00\x00\x04junk")
        wait_until(lambda: plane.control.connections > before)
        assert plane.call("steady").status in (200, 404)  # the snapshot after a reconnect has no routes


def test_sigterm_finishes_requests_and_cleans_up() -> None:
    with handler_latch() as latch, running_data_plane() as plane:
        plane.deploy("slow", latch.source + BLOCKING)
        pids = [plane.process.pid, *plane.zygotes(), *plane.instances(), *children(plane.process.pid)]
        with plane.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
            wait_until(lambda: latch.waiting_count == 1)
            plane.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not accepts_connections(plane))
            latch.release()
            assert peer.recv(65536).endswith(b"done")
        assert plane.stop() == 0
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        assert not Path(plane.settings.gateway_socket).exists()
        assert not Path(plane.settings.delivery_socket).exists()
        assert not list(plane.folder.glob("instances-*"))


@pytest.mark.long
def test_drain_timeout_rejects_remaining_requests() -> None:
    """Takes ten seconds, the drain timeout."""
    with handler_latch() as latch, running_data_plane() as plane:
        route = plane.deploy("endless", latch.source + BLOCKING, max_scale=1)
        with plane.connect() as served, plane.connect() as waiting:
            served.sendall(b"GET / HTTP/1.1\r\nHost: endless.test\r\n\r\n")
            wait_until(lambda: latch.waiting_count == 1)
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: endless.test\r\n\r\n")
            wait_for_counts(plane, route, busy=1, waiting=1)
            plane.process.send_signal(signal.SIGTERM)
            for peer, status in ((served, b"502"), (waiting, b"503")):
                answer = peer.recv(65536)
                assert answer.startswith(b"HTTP/1.1 " + status)
                assert answer.endswith(b'the platform is stopping"}')
        assert plane.stop() == 0


def accepts_connections(plane: DataPlaneProcess) -> bool:
    """Whether the gateway accepts new connections."""
    try:
        plane.connect().close()
    except ConnectionError:
        return False
    return True


def test_sigkill_ends_every_instance() -> None:
    with running_data_plane() as plane:
        plane.deploy("here", HELLO, min_scale=2)
        pids = [*plane.zygotes(), *plane.instances()]
        assert pids
        plane.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.parametrize("isolation", ["strongest", "cgroups"])
def test_unknown_isolation_level_is_rejected(isolation: str) -> None:
    with running_data_plane(isolation=isolation, send_snapshot=False) as plane:
        assert plane.process.wait(60) == 1
        assert (
            "Choose auto" in (plane.folder / "stderr.log").read_text()
            or isolation in (plane.folder / "stderr.log").read_text()
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_unavailable_isolation_level_is_rejected() -> None:
    with running_data_plane(isolation="cgroup", user=54321, send_snapshot=False) as plane:
        assert plane.process.wait(60) == 1
        assert "isolation" in (plane.folder / "stderr.log").read_text()


def test_port_in_use_error_has_no_traceback() -> None:
    with running_data_plane() as first:
        settings = first.settings
        command = [sys.executable, "-m", "fnkit.platform.data_plane.process"]
        second = msgspec.structs.replace(settings, gateway_socket=settings.gateway_socket + "2", isolation="none")
        done = subprocess.run(
            command, input=msgspec.json.encode(second), capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert b"in use" in done.stderr
        assert b"Traceback" not in done.stderr


def test_invalid_settings_are_rejected_without_echoing_them() -> None:
    command = [sys.executable, "-m", "fnkit.platform.data_plane.process"]
    done = subprocess.run(command, input=b'{"secret_key": "x-x-x"}', capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert b"x-x-x" not in done.stderr


def test_instance_memory_stays_within_the_budget() -> None:
    with handler_latch() as latch, running_data_plane(memory_budget_mb=300) as plane:
        plane.deploy("one", HELLO, memory=256)
        two = plane.deploy("two", HELLO, memory=256)  # evicts the idle instance of `one`
        assert plane.call("two").body == b"hello"
        assert plane.call("one").body == b"hello"
        route = plane.send_deploy("big", HELLO, memory=512)
        failed = plane.control.wait(
            lambda m: isinstance(m, routing.DeploymentFailed) and m.function_id == route.function_id
        )
        assert isinstance(failed, routing.DeploymentFailed)
        assert "memory budget" in failed.message
        plane.deploy("holder", latch.source + BLOCKING, memory=256)
        with plane.connect() as peer, ThreadPoolExecutor(1) as threads:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: holder.test\r\n\r\n")
            wait_until(lambda: latch.waiting_count == 1)
            waiting = threads.submit(plane.call, "two")
            wait_until(lambda: any("memory budget" in line.message for line in plane.log_lines(two)))
            latch.release()
            assert waiting.result().body == b"hello"
            assert peer.recv(65536).endswith(b"done")


def test_interpreter_is_prestarted_before_its_first_deployment() -> None:
    with running_data_plane() as plane:
        assert not plane.instances()
        version = plane.control.next_version()
        message = routing.PrestartInterpreter(
            version=version, language="Python", interpreter=plane.interpreter, memory=128
        )
        plane.control.send(message)
        wait_until(lambda: len(plane.instances()) == PREWARMED)
        plane.deploy("hello", HELLO)
        assert plane.call("hello").body == b"hello"


def test_function_is_served_only_under_its_latest_hosts() -> None:
    with running_data_plane() as plane:
        first = plane.deploy("hello", HELLO)
        named = routing.HostsChanged(
            version=plane.control.next_version(),
            function_id=first.function_id,
            hosts=(*first.hosts, "a.example.com"),
        )
        plane.control.send_and_wait_for_ack(named)

        assert plane.call("", host="a.example.com").body == b"hello"
        assert sum(isinstance(message, routing.DeploymentStarted) for message in plane.control.received) == 1
        # A deployment that is starting while the hosts change gets the new ones instead of those of its route.
        second = plane.send_deploy("hello", HELLO.replace("hello", "again"), generation=2)
        renamed = msgspec.structs.replace(
            named, version=plane.control.next_version(), hosts=(*first.hosts, "b.example.com")
        )
        plane.control.send_and_wait_for_ack(renamed)
        plane.control.wait(lambda m: isinstance(m, routing.DeploymentStarted) and m.generation == second.generation)
        assert plane.call("", host="a.example.com").status == 404
        assert plane.call("", host="b.example.com").body == b"again"
