"""What an instance may take at most, and how it ends when it takes more: at every level that enforces it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection
from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.waiting import DEADLINE, wait_until

USER = 54323
LEVELS = ((0, "auto"), (USER, "namespaces"), (USER, "landlock"))
FAMILY = """
import os, time
def handle(event, context):
    if event["path"] == "/eat":
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                held = b"x" * (60 << 20)
                time.sleep(300)
        time.sleep(300)
    return "fine"
"""
DISK = """
import os, time
def handle(event, context):
    if event["path"] == "/fill":
        for number in range(3):
            with open("big%d" % number, "wb") as file:
                for _ in range(400):
                    file.write(bytes(1 << 20))
        time.sleep(300)
    if event["path"] == "/hide":
        held = []
        for number in range(3):
            held.append(open("big%d" % number, "wb"))
            os.unlink(held[-1].name)
            os.posix_fallocate(held[-1].fileno(), 0, 400 << 20)
        time.sleep(300)
    mounts = open("/proc/mounts").readlines() if os.path.exists("/proc/mounts") else []
    kinds = {line.split()[1]: line.split()[2] for line in mounts}
    seccomp = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp:"))
    return {"body": {"tmp": kinds.get("/tmp"), "seccomp": seccomp, "argv": open("/proc/self/cmdline").read(),
                     "files": sorted(os.listdir(".")), "uid": os.getuid()}}
"""


@pytest.fixture(scope="module", params=LEVELS, ids=["root", "user", "landlock"])
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    if os.geteuid() != 0 and user:
        pytest.skip("only root can become another user")
    with running_data_plane(user=user, isolation=isolation) as running:
        yield running


def exits(plane: DataPlaneProcess, function_id: str) -> list[str]:
    heard = plane.control.received
    return [m.reason for m in heard if isinstance(m, routing.InstanceExited) and m.function_id == function_id]


def test_memory_is_counted_over_all_processes_of_an_instance(plane: DataPlaneProcess) -> None:
    """Each of them alone is within the limit; daemons count too."""
    route = plane.deploy("family", FAMILY, memory=128)
    reply = plane.call("family", "/eat")
    assert reply.status == 502
    assert b"out of memory" in reply.body
    wait_until(lambda: exits(plane, route.function_id) == ["out of memory"])
    assert plane.call("family").body == b"fine"
    said = [line.message for line in plane.log_lines(route) if line.stream == "system"]
    assert said == ["instance ended: out of memory"]


def test_sandbox_v1_is_a_fresh_process_without_a_filter_whose_disk_is_a_disk(plane: DataPlaneProcess) -> None:
    answers = {}
    for sandbox in ("v1", "v2"):
        plane.deploy(f"box-{sandbox}", DISK, sandbox=sandbox)
        answers[sandbox] = plane.call(f"box-{sandbox}").json()
    first, second = answers["v1"], answers["v2"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["seccomp"], second["seccomp"]) == ("0", "2")
    assert "launch.py" not in first["argv"]
    assert "launch.py" in second["argv"]
    assert first["uid"] != 0
    if Protection.DISK in TABLE[level_of(plane)]:
        assert second["tmp"] == "tmpfs"
        assert first["tmp"] is not None


@pytest.mark.parametrize("how", ["/fill", "/hide"])
def test_the_disk_of_sandbox_v1_has_an_end_too(plane: DataPlaneProcess, how: str) -> None:
    """No file alone is over it; one that is removed takes its place as long as it is open."""
    route = plane.deploy(f"full-{how[1:]}", DISK, sandbox="v1", memory=2048, timeout=2 * DEADLINE)
    assert plane.call(route.name, how).status == 502
    wait_until(lambda: exits(plane, route.function_id) == ["out of disk: more than 1024 MiB"])
    answer = plane.call(route.name).json()
    assert isinstance(answer, dict)
    assert not [name for name in answer["files"] if name.startswith("big")]


def level_of(plane: DataPlaneProcess) -> Level:
    hello = plane.control.wait(lambda heard: isinstance(heard, routing.Handshake))
    assert isinstance(hello, routing.Handshake)
    return Level(hello.isolation)


BURN = """
import time
def handle(event, context):
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.08:
        pass
    return {"body": {"elapsed": time.monotonic() - began}}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups are root's")
def test_hard_cpu_limits_give_a_function_its_mvcpu_and_no_more() -> None:
    with running_data_plane(cpu_limits="hard") as plane:
        plane.deploy("slow", BURN, cpu=100)
        answer = plane.call("slow").json()
        assert isinstance(answer, dict)
        assert answer["elapsed"] > 0.4  # 80 ms of CPU at a tenth of one, but for the first period's share
        assert "not enforced: --cpu-limits" not in (plane.folder / "stderr.log").read_text()


def test_hard_cpu_limits_are_said_not_to_be_enforced_where_they_are_not() -> None:
    with running_data_plane(cpu_limits="hard", isolation="namespaces", user=0 if os.geteuid() else USER) as plane:
        assert "--cpu-limits=hard is not enforced" in (plane.folder / "stderr.log").read_text()


def test_processes_of_one_function_leave_another_its_own(plane: DataPlaneProcess) -> None:
    if Protection.PIDS not in TABLE[level_of(plane)]:
        pytest.skip("not enforced at this level, and said so at start-up")
    source = (
        "import os, signal\ndef handle(event, context):\n    made = 0\n    try:\n"
        "        while made < int(event['path'][1:]):\n"
        "            if os.fork() == 0:\n                signal.pause()\n            made += 1\n"
        "    except OSError:\n        pass\n    return {'body': made}\n"
    )
    plane.deploy("bomb", source, memory=2048)
    plane.deploy("careful", source, memory=2048)
    assert 400 < int(str(plane.call("bomb", "/1000").json())) < 512
    assert plane.call("careful", "/100").json() == 100


def test_an_instance_is_free_again_when_its_client_left_an_answer_that_it_had_stopped_reading(
    plane: DataPlaneProcess,
) -> None:
    source = "def handle(e, c):\n    return 'x' * (96 << 20) if e['path'] == '/big' else 'free'\n"
    plane.deploy("stream", source, max_scale=1, memory=1024)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(DEADLINE)
    client.connect(("127.0.0.1", plane.port))
    client.sendall(b"GET /big HTTP/1.1\r\nHost: stream.test\r\n\r\n")
    assert client.recv(1024).startswith(b"HTTP/1.1 200")
    wait_until(stands_still(plane), what="the answer flows on")
    client.close()
    assert plane.call("stream").body == b"free"


def stands_still(plane: DataPlaneProcess) -> Stillness:
    return Stillness(plane.process.pid)


class Stillness:
    """The data plane reads no more: so many looks in a row found its input unchanged."""

    def __init__(self, pid: int) -> None:
        self.path = Path(f"/proc/{pid}/io")
        self.seen = ""
        self.same = 0

    def __call__(self) -> bool:
        with self.path.open() as file:
            now = next(line for line in file if line.startswith("rchar"))
        self.same = self.same + 1 if now == self.seen else 0
        self.seen = now
        return self.same >= 20
