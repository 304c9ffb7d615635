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
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import level_parameters
from tests.support.metrics import function_metrics
from tests.support.resource_counts import PREWARMED, processes_with_marker
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
def test_its_instances_and_what_they_left_behind_end_with_it(level: tuple[int, str]) -> None:
    user, isolation = level
    with running_data_plane(isolation=isolation, user=user) as plane:
        plane.deploy("busy", BUSY, environment={"MARK": plane.folder.name})
        before = len(processes_with_marker(plane.folder.name))
        with plane.connect() as peer:
            peer.sendall(b"GET /busy HTTP/1.1\r\nHost: busy.test\r\n\r\n")
            wait_until(lambda: len(processes_with_marker(plane.folder.name)) > before)
            plane.process.kill()
            with contextlib.suppress(ConnectionError):
                assert peer.recv(1) == b""
        plane.process.wait()
        wait_until(lambda: not processes_with_marker(plane.folder.name), what="every process is gone")


def test_a_zygote_whose_words_nobody_hears_goes_on_to_hear_that() -> None:
    """An instance may end right before it is heard that the data plane is gone; what others left must still end."""
    told = (
        "import socket, sys\n"
        f"sys.path.insert(0, {str(WORKER)!r})\n"
        "import launch\n"
        "fork_server = launch.load('fork_server')\n"
        "ours, theirs = socket.socketpair()\n"
        "zygote = fork_server.ForkServer(ours, namespaces=False, run_child=lambda _: None)\n"
        "theirs.close()\n"
        "zygote.send(b'EXIT', 1, 0)\n"
        "print(zygote.receive(ours, ours))\n"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_what_a_killed_one_left_in_its_folder_is_removed_by_the_next() -> None:
    with running_data_plane() as plane:
        [own] = plane.folder.glob("instances-*")
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        left = plane.folder / f"instances-{ended.pid}-x" / "home-00000001"
        left.mkdir(parents=True)
        (left / "data").write_text("x")
        other = plane.folder / f"instances-{os.getpid()}-x"
        other.mkdir()
        settings = msgspec.structs.replace(plane.settings, isolation="none")  # its port is taken: it ends again
        command = [sys.executable, "-m", "fnkit.platform.data_plane.process"]
        subprocess.run(command, input=msgspec.json.encode(settings), capture_output=True, check=False, timeout=60)
        assert {*plane.folder.glob("instances-*")} == {own, other}


def test_an_import_that_never_ends_ends_with_its_deployment() -> None:
    with running_data_plane() as plane:
        hanging = "import time\ntime.sleep(1000)\ndef handle(e, c):\n    return 'never'\n"
        mark = {"MARK": plane.folder.name}
        before = len(processes_with_marker(plane.folder.name))
        plane.send_deploy("hangs", hanging, environment=mark)
        wait_until(lambda: len(processes_with_marker(plane.folder.name)) > before)
        plane.deploy("hangs", "def handle(e, c):\n    return 'next'\n", environment=mark)
        assert plane.call("hangs").body == b"next"
        again = plane.send_deploy("also", hanging, environment=mark)
        plane.control.send(
            routing.RemoveFunction(version=plane.control.next_version(), function_id=again.function_id)
        )
        # blanks, and one instance of the next deployment
        wait_until(lambda: len(plane.instances()) <= 1 + PREWARMED, what=f"{plane.instances()}")


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="another process's limits can be set on Linux only")
def test_out_of_descriptors_it_refuses_politely_and_recovers() -> None:
    """Each of a hundred requests wants an instance of its own, and each instance three descriptors."""
    slow = "import time\ndef handle(e, c):\n    time.sleep(0.05)\n    return e['path']\n"
    with running_data_plane() as plane:
        route = plane.deploy("echo", slow, max_scale=50)
        assert plane.call("echo", "/before").body == b"/before"
        wait_until(lambda: len(plane.instances()) == 1 + PREWARMED)
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
        wait_until(lambda: answered(plane.port), what="it serves again")
        wait_until(lambda: at_rest(function_metrics(plane, route)), what="nobody waits, nothing starts")
        for pid in plane.instances():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: answered(plane.port), what="it starts instances again")
        wait_until(lambda: descriptors(plane) <= held + 1, what=f"no more than {held} descriptors")
        assert "Traceback" not in (plane.folder / "stderr.log").read_text()


def at_rest(now: FunctionMetricsSnapshot) -> bool:
    return (now.busy, now.starting, now.queued) == (0, 0, 0)


def descriptors(plane: DataPlaneProcess) -> int:
    return len(os.listdir(f"/proc/{plane.process.pid}/fd"))  # noqa: PTH208  (names are enough)


def answered(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(b"GET /after HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n")
        return peer.recv(65536).endswith(b"/after")
    return False
