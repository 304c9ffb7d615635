"""A data plane that is killed while its instances are busy, and one that runs out of descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fnkit import worker
from fnkit.platform.model import routing
from fnkit.platform.model.metrics import FunctionMetricsSnapshot
from tests.integration.test_hostile_handlers import levels
from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.isolation_levels import level_parameters
from tests.support.metrics import function_metrics
from tests.support.resource_counts import PREWARMED, processes_of
from tests.support.waiting import wait_until

WORKER = Path(worker.__file__).parent / "python"
BUSY = """
import os, time

def handle(event, context):
    if event["path"] == "/":
        return "hello"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    while True:
        time.sleep(1000)
"""


@pytest.mark.parametrize("level", level_parameters(levels()))
def test_killed_data_plane_ends_instances_and_their_daemons(level: tuple[int, str]) -> None:
    user, isolation = level
    with running_data_plane(isolation=isolation, user=user) as plane:
        plane.deploy("busy", BUSY, environment={"MARK": plane.folder.name})
        before = len(processes_of(plane))
        with plane.connect() as peer:
            peer.sendall(b"GET /busy HTTP/1.1\r\nHost: busy.test\r\n\r\n")
            wait_until(lambda: len(processes_of(plane)) > before)
            plane.process.kill()
            with contextlib.suppress(ConnectionError):
                assert peer.recv(1) == b""
        plane.process.wait()
        wait_until(lambda: not processes_of(plane), what="all processes ended")


def test_zygote_detects_closed_socket_after_failed_send() -> None:
    """A failed send must not hide the end of the data plane; otherwise daemons of other instances would remain."""
    program = (
        "import socket, sys\n"
        f"sys.path.insert(0, {str(WORKER)!r})\n"
        "import launch\n"
        "fork_server = launch.load('fork_server')\n"
        "local, remote = socket.socketpair()\n"
        "zygote = fork_server.ForkServer(local, namespaces=False)\n"
        "remote.close()\n"
        "zygote.send(b'EXIT', 1, 0)\n"
        "try:\n    print(zygote.receive((local, local)))\nexcept EOFError:\n    print(False)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_startup_removes_directories_of_killed_data_plane() -> None:
    with running_data_plane() as plane:
        [own] = plane.folder.glob("instances-*")
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        stale = plane.folder / f"instances-{ended.pid}-x" / "home-00000001"
        stale.mkdir(parents=True)
        (stale / "data").write_text("x")
        other = plane.folder / f"instances-{os.getpid()}-x"
        other.mkdir()
        settings = msgspec.structs.replace(plane.settings, isolation="none")  # exits, since the port is in use
        command = [sys.executable, "-m", "fnkit.platform.data_plane.process"]
        subprocess.run(command, input=msgspec.json.encode(settings), capture_output=True, check=False, timeout=60)
        assert {*plane.folder.glob("instances-*")} == {own, other}


def test_hanging_import_is_ended_with_its_deployment() -> None:
    with running_data_plane() as plane:
        hanging = "import time\ntime.sleep(1000)\ndef handle(e, c):\n    return 'unreachable'\n"
        mark = {"MARK": plane.folder.name}
        before = len(processes_of(plane))
        plane.send_deploy("hangs", hanging, environment=mark)
        wait_until(lambda: len(processes_of(plane)) > before)
        plane.deploy("hangs", "def handle(e, c):\n    return 'next'\n", environment=mark)
        assert plane.call("hangs").body == b"next"
        again = plane.send_deploy("also", hanging, environment=mark)
        plane.control.send(
            routing.RemoveFunction(version=plane.control.next_version(), function_id=again.function_id)
        )
        # pre-warmed workers, and one instance of the next deployment
        wait_until(lambda: len(plane.instances()) <= 1 + PREWARMED, what="the hanging import ended")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process's limits can be set on Linux only")
def test_data_plane_recovers_from_descriptor_exhaustion() -> None:
    """Each concurrent request needs an instance of its own, and each instance three descriptors."""
    slow = "import time\ndef handle(e, c):\n    time.sleep(0.05)\n    return e['path']\n"
    with running_data_plane() as plane:
        # On a busy machine, a start is slow enough for a zygote of the deployment, which has descriptors too.
        route = plane.deploy("echo", slow, max_scale=50, preload=False)
        assert plane.call("echo", "/before").body == b"/before"
        wait_until(lambda: len(plane.instances()) == 1 + PREWARMED)
        wait_until((plane.folder / "logs" / route.function_id / "requests").is_dir, what="the log is open")
        wait_until(lambda: runs_usage_meter(plane), what="the process that measures instances")
        held = descriptors(plane)
        resource.prlimit(plane.process.pid, resource.RLIMIT_NOFILE, (held + 20, 4096))
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                peer = stack.enter_context(plane.connect())
                peer.sendall(b"GET /held HTTP/1.1\r\nHost: echo.test\r\n\r\n")
                peer.settimeout(0.01)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    answer = peer.recv(65536)
                    assert not answer or answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 50"))
            assert plane.process.poll() is None
        wait_until(lambda: is_served(plane.port), what="requests served again")
        wait_until(lambda: is_idle(function_metrics(plane, route)), what="no waiting request and no start")
        for pid in plane.instances():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_served(plane.port), what="instances started again")
        wait_until(lambda: descriptors(plane) <= held, what=f"at most {held} descriptors")
        assert "Traceback" not in (plane.folder / "stderr.log").read_text()


def is_idle(now: FunctionMetricsSnapshot) -> bool:
    return (now.busy, now.starting, now.queued) == (0, 0, 0)


def runs_usage_meter(plane: DataPlaneProcess) -> bool:
    """Return whether the first instance is being measured: that begins a moment after its start."""
    for pid in children(plane.process.pid):
        with contextlib.suppress(OSError):
            if b"usage_meter" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
    return False


def descriptors(plane: DataPlaneProcess) -> int:
    return len(os.listdir(f"/proc/{plane.process.pid}/fd"))  # noqa: PTH208  (names are enough)


def is_served(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET /after HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n")
        return peer.recv(65536).endswith(b"/after")
    return False
