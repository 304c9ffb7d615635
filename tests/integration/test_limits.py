"""Resource limits of an instance, and how it ends when it exceeds one, at every level that enforces them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection
from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.waiting import DEADLINE, wait_until

USER = 54323
LEVELS = ((0, "auto"), (USER, "namespaces"), (USER, "landlock"))
FORKING = """
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
SHARED_MEMORY = """
import ctypes, mmap, os, time
def handle(event, context):
    way = event["path"]
    if way == "/":
        return "fine"
    if way == "/hidden":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: no other process of the user may look at it
    if way == "/anonymous":
        mapped = mmap.mmap(-1, 300 << 20)
        for start in range(0, 300 << 20, 1 << 20):
            mapped[start : start + (1 << 20)] = b"x" * (1 << 20)
            mapped.madvise(mmap.MADV_DONTNEED)  # in memory, but in no resident set
    else:
        descriptor = os.memfd_create("file")
        for _ in range(300):
            os.write(descriptor, b"x" * (1 << 20))
        if way == "/mapped":
            mapped = mmap.mmap(descriptor, 300 << 20)
            os.closerange(descriptor, descriptor + 2)  # also the duplicate that mmap keeps
    time.sleep(300)
"""
DISK = """
import mmap, os, time
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
    if event["path"] == "/map":
        held = []
        for number in range(3):
            with open("big%d" % number, "wb+") as file:
                os.posix_fallocate(file.fileno(), 0, 400 << 20)
                held.append(mmap.mmap(file.fileno(), 400 << 20))
                os.unlink(file.name)
        for number in os.listdir("/proc/self/fd"):  # mmap keeps a duplicate
            try:
                if os.readlink("/proc/self/fd/" + number).endswith("(deleted)"):
                    os.close(int(number))
            except OSError:
                pass
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
    with running_data_plane(user=user, isolation=isolation) as running:
        yield running


@pytest.mark.long
def test_memory_limit_covers_all_processes_of_an_instance(plane: DataPlaneProcess) -> None:
    """Each process alone is within the limit; daemons count too."""
    route = plane.deploy("forking", FORKING, memory=128)
    reply = plane.call("forking", "/eat")
    assert reply.status == 502
    assert b"out of memory" in reply.body
    wait_until(lambda: plane.exit_reasons(route.function_id) == ["out of memory"])
    assert plane.call("forking").body == b"fine"
    logged = [line.message for line in plane.log_lines(route) if line.stream == "system"]
    assert logged == ["instance ended: out of memory"]


@pytest.mark.long
@pytest.mark.parametrize("sandbox", ["v1", "v2"])
def test_memory_limit_covers_shared_memory(plane: DataPlaneProcess, sandbox: str) -> None:
    """Memory that is in no process's resident set: in a file in memory, mapped or not, and behind a mapping."""
    assert Protection.MEMORY in TABLE[level_of(plane)]
    for number, way in enumerate(("/descriptor", "/mapped", "/anonymous", "/hidden")):
        name = f"shared-{sandbox}-{number}"
        route = plane.deploy(name, SHARED_MEMORY, memory=128, sandbox=sandbox, timeout=2 * DEADLINE)
        assert plane.call(name, way).status == 502
        wait_until(partial(plane.exit_reasons, route.function_id))
        allowed = ["out of memory", "its processes hide what they use"][: 2 if way == "/hidden" else 1]
        assert plane.exit_reasons(route.function_id)[0] in allowed
        assert plane.call(name).body == b"fine"


def test_sandbox_v1_uses_fresh_process_without_the_filter_of_v2(plane: DataPlaneProcess) -> None:
    results = {}
    for sandbox in ("v1", "v2"):
        plane.deploy(f"box-{sandbox}", DISK, sandbox=sandbox)
        results[sandbox] = plane.call(f"box-{sandbox}").json()
    first, second = results["v1"], results["v2"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    # Without namespaces, a filter of its own keeps also v1 from the platform's other processes.
    assert (first["seccomp"], second["seccomp"]) == ("2" if level_of(plane) is Level.LANDLOCK else "0", "2")
    assert "handler.handle" in first["argv"]  # of a fresh process
    assert "handler.handle" not in second["argv"]  # of its zygote
    assert first["uid"] != 0
    if level_of(plane) in (Level.CGROUP, Level.NAMESPACES):
        assert second["tmp"] == "tmpfs"
        assert first["tmp"] is not None


@pytest.mark.long
@pytest.mark.parametrize("path", ["/fill", "/hide", "/map"])
def test_sandbox_v1_disk_usage_is_limited(plane: DataPlaneProcess, path: str) -> None:
    """No single file exceeds the limit; deleted files count while they are open or mapped."""
    route = plane.deploy(f"full-{path[1:]}", DISK, sandbox="v1", memory=2048, timeout=2 * DEADLINE)
    assert plane.call(route.name, path).status == 502
    wait_until(lambda: plane.exit_reasons(route.function_id) == ["out of disk: more than 1024 MiB"])
    answer = plane.call(route.name).json()
    assert isinstance(answer, dict)
    assert not [name for name in answer["files"] if name.startswith("big")]


def level_of(plane: DataPlaneProcess) -> Level:
    handshake = plane.control.wait(lambda message: isinstance(message, routing.Handshake))
    assert isinstance(handshake, routing.Handshake)
    return Level(handshake.isolation)


BURN = """
import time
def handle(event, context):
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.08:
        pass
    return {"body": {"elapsed": time.monotonic() - began}}
"""


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
def test_hard_cpu_limit_caps_function_at_its_mvcpu() -> None:
    with running_data_plane(cpu_limits="hard") as plane:
        assert Protection.CPU in TABLE[level_of(plane)]
        plane.deploy("slow", BURN, cpu=100)
        answer = plane.call("slow").json()
        assert isinstance(answer, dict)
        assert answer["elapsed"] > 0.4  # 80 ms at a tenth of a CPU, less the share of the first period
        assert "not enforced: --cpu-limits" not in (plane.folder / "stderr.log").read_text()


def test_unenforced_hard_cpu_limit_is_logged() -> None:
    with running_data_plane(cpu_limits="hard", isolation="namespaces", user=0 if os.geteuid() else USER) as plane:
        assert "--cpu-limits=hard is not enforced" in (plane.folder / "stderr.log").read_text()


@pytest.mark.long
def test_process_limit_is_per_function(plane: DataPlaneProcess) -> None:
    if Protection.PIDS not in TABLE[level_of(plane)]:
        pytest.skip("not enforced at this level, as reported at startup")
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


def test_instance_is_freed_when_stalled_client_disconnects(
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
    wait_until(reads_stopped(plane), what="no more response data read")
    client.close()
    assert plane.call("stream").body == b"free"


def reads_stopped(plane: DataPlaneProcess) -> ReadsStopped:
    return ReadsStopped(plane.process.pid)


class ReadsStopped:
    """True once the data plane's count of read bytes was unchanged in 20 consecutive checks."""

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
