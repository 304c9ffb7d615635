"""A hostile handler at every isolation level of this machine, as root and as an unprivileged user.

Each enforced cell of ``isolation.TABLE`` is attempted from inside a handler.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection, candidate_levels, unenforced
from tests.support.data_plane import SECRET_KEY, DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import level_parameters

USER = 54321

HOSTILE = """
import ctypes, glob, os, resource, signal, socket, subprocess, threading

def attempt(action):
    try:
        return {"ok": action()}
    except BaseException as error:
        return {"error": type(error).__name__}

def read(path):
    with open(path, "rb") as file:
        return file.read(4096).decode("latin-1")

def walk(path):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)

def environs():
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        if path == "/proc/%d/environ" % os.getpid():
            continue
        try:
            found.append(read(path))
        except OSError:
            pass
    return found

def memories(pids):
    opened = []
    for pid in pids:
        for name in ("mem", "maps", "root", "cwd", "fd"):
            path = "/proc/%d/%s" % (pid, name)
            try:
                os.listdir(path) if name in ("root", "cwd", "fd") else open(path, "rb").read(1)
                opened.append(path)
            except OSError:
                pass
    return opened

def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(2)
    peer.connect(path)
    return "connected"

def fill(path, size):
    block = b"x" * (1 << 20)
    written = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while written < size:
                written += file.write(block)
        except OSError:
            pass
    os.unlink(path)
    return written

def forks(count):
    pids = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            pids.append(pid)
    except OSError:
        pass
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return len(pids)

def descriptors(count):
    opened = []
    try:
        for _ in range(count):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for descriptor in opened:
        os.close(descriptor)
    return len(opened)

def libc(name, *arguments):
    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result != 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def echo_through_pair():
    one, other = socket.socketpair()
    one.send(b"x")
    return other.recv(1).decode()

def handle(event, context):
    query = event["queryStringParameters"]
    path = query.get("path", "")
    action = event["path"][1:]
    actions = {
        "read": lambda: read(path),
        "list": lambda: os.listdir(path),
        "walk": lambda: walk(path),
        "write": lambda: open(path, "w").write("x"),
        "environs": environs,
        "memories": lambda: memories([int(pid) for pid in query["pids"].split(",")]),
        "pids": lambda: sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
        "kill": lambda: [attempt(lambda pid=int(pid): os.kill(pid, 0)) for pid in query["pids"].split(",")],
        "connect": lambda: connect(path),
        "fill": lambda: fill(path, int(query["size"])),
        "forks": lambda: forks(int(query["count"])),
        "descriptors": lambda: descriptors(int(query["count"])),
        "identity": lambda: {"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
                             "status": dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status")
                                            if line.startswith(("Cap", "NoNewPrivs", "Seccomp:")))},
        "unshare": lambda: libc("unshare", 0x10000000),
        "mount": lambda: libc("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "setuid": lambda: os.setuid(0),
        "open": lambda: sorted(os.readlink("/proc/self/fd/" + name).partition(":")[0]
                               for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)
                               or os.path.islink("/proc/self/fd/" + name)),
        "environment": lambda: dict(os.environ),
        "prlimit": lambda: resource.prlimit(
            int(query["pid"]), resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU)) and None,
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, int(query["pid"]), 10),
        "affinity": lambda: os.sched_setaffinity(int(query["pid"]), [0]),
        "socketpair": echo_through_pair,
        "datagrams": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect(path),
        "io_uring": lambda: ctypes.CDLL(None, use_errno=True).syscall(425, 8, bytes(120)),
        "shmget": lambda: libc("shmget", 0, 4096, 0o1600) and None,
        "raise-limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100000, 100000)),
    }
    return {"body": attempt(actions[action])}
"""

OTHER = "SECRET = 'code of another function'\ndef handle(e, c):\n    return 'other'\n"


def levels() -> list[tuple[int, str]]:
    found = [(0, level.value) for level in candidate_levels("auto", is_root=True)] if os.geteuid() == 0 else []
    user = USER if os.geteuid() == 0 else 0
    return found + [(user, level.value) for level in candidate_levels("auto", is_root=False)]


@pytest.fixture(scope="module", params=level_parameters(levels()))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        (running.folder / "keys").mkdir(mode=0o700)
        for name in ("platform.json", "keys/secret"):
            path = running.folder / name
            path.write_text(SECRET_KEY)
            path.chmod(0o600)
        for path in running.folder.rglob("*"):
            if user:
                os.chown(path, user, user)
        running.folder.chmod(0o700)
        # enough memory for a hundred Python processes; the memory limit has its own test
        running.deploy("hostile", HOSTILE, memory=512)
        running.deploy("hostile-v1", HOSTILE, memory=512, sandbox="v1")
        running.deploy("other", OTHER, environment={"PASSWORD": "secret of another"}, min_scale=1)
        assert running.call("other").body == b"other"
        yield running


def enforced(plane: DataPlaneProcess, protection: Protection) -> bool:
    return protection in TABLE[Level(plane.settings.isolation)]


def call_hostile(
    plane: DataPlaneProcess, action: str, function: str = "hostile", **query: object
) -> dict[str, object]:
    text = "&".join(f"{key}={value}" for key, value in query.items())
    reply = plane.call(function, f"/{action}?{text}")
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("name", ["platform.json", "keys/secret", "logs", "deployments", "stderr.log", ""])
def test_data_directory_cannot_be_read(plane: DataPlaneProcess, name: str) -> None:
    assert enforced(plane, Protection.DATA_DIRECTORY)
    for action in ("read", "list"):
        assert "ok" not in call_hostile(plane, action, path=plane.folder / name)


def test_writes_outside_the_instance_disk_fail(plane: DataPlaneProcess) -> None:
    paths = ["/usr/x", plane.folder / "x", "/dev/x", "/proc/x"]
    if not Level(plane.settings.isolation).has_namespaces:  # others have a root of their own: test_writable_disk
        paths += [
            "/etc/x",
            "/x",
            "/home/app/function/x",
            *(plane.folder / "deployments").glob("hostile*/handler.py"),
        ]
    for path in paths:
        assert "ok" not in call_hostile(plane, "write", path=path)


def test_host_secrets_cannot_be_read(plane: DataPlaneProcess) -> None:
    assert "ok" in call_hostile(plane, "read", path="/etc/os-release")
    for path in ("/etc/shadow", "/etc/ssh", "/etc/sudoers"):
        assert "ok" not in call_hostile(plane, "list" if path == "/etc/ssh" else "read", path=path)


def test_code_of_other_functions_cannot_be_read(plane: DataPlaneProcess) -> None:
    assert enforced(plane, Protection.OTHER_CODE)
    other = next(path for path in (plane.folder / "deployments").iterdir() if path.name.startswith("other"))
    assert "ok" not in call_hostile(plane, "read", path=other / "handler.py")
    assert "ok" not in call_hostile(plane, "list", path=other)


def platform_pids(plane: DataPlaneProcess) -> str:
    return ",".join(map(str, {plane.process.pid, os.getpid(), *plane.zygotes(), *plane.instances()}))


def test_other_processes_cannot_be_inspected(plane: DataPlaneProcess) -> None:
    assert enforced(plane, Protection.PROCESSES)
    assert call_hostile(plane, "environs") == {"ok": []}
    if Level(plane.settings.isolation) is Level.LANDLOCK:
        pids = ",".join(map(str, {plane.process.pid, os.getpid(), *plane.zygotes()}))
        assert call_hostile(plane, "memories", pids=pids) == {"ok": []}
    else:
        assert call_hostile(plane, "pids") == {"ok": [1]}


def test_other_processes_cannot_be_signalled(plane: DataPlaneProcess) -> None:
    if not enforced(plane, Protection.SIGNALS):
        pytest.skip("not enforced at this level, as reported at startup")
    foreign = [pid for pid in platform_pids(plane).split(",") if pid != "1"]
    answer = call_hostile(plane, "kill", pids=",".join(foreign))["ok"]
    assert answer == [{"error": "ProcessLookupError"}] * len(foreign)


def test_platform_sockets_cannot_be_connected_to(plane: DataPlaneProcess) -> None:
    if not enforced(plane, Protection.PLATFORM_SOCKETS):
        pytest.skip("not enforced at this level, as reported at startup")
    settings = plane.settings
    for path in (settings.control_socket, settings.gateway_socket, settings.delivery_socket):
        assert "ok" not in call_hostile(plane, "connect", path=path)


@pytest.mark.parametrize("function", ["hostile", "hostile-v1"])
def test_limits_and_priority_of_other_processes_cannot_be_changed(plane: DataPlaneProcess, function: str) -> None:
    assert enforced(plane, Protection.PROCESS_LIMITS)
    foreign = [pid for pid in platform_pids(plane).split(",") if pid != "1"]
    for pid in foreign:
        for action in ("prlimit", "priority", "affinity"):
            assert "ok" not in call_hostile(plane, action, function, pid=pid), (action, pid)
    assert call_hostile(plane, "prlimit", function, pid=0) == {"ok": None}


@pytest.mark.parametrize("function", ["hostile", "hostile-v1"])
def test_unix_sockets_of_the_platform_cannot_be_reached_by_any_sandbox(
    plane: DataPlaneProcess, function: str
) -> None:
    assert "ok" not in call_hostile(plane, "connect", function, path=plane.settings.control_socket)
    assert call_hostile(plane, "socketpair", function) == {"ok": "x"}


def test_datagrams_cannot_be_sent_to_unix_sockets_outside(
    plane: DataPlaneProcess,
) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        Path(folder).chmod(0o777)
        receiver.bind(f"{folder}/receiver")
        Path(folder, "receiver").chmod(0o777)
        for function in ("hostile", "hostile-v1"):
            assert "ok" not in call_hostile(plane, "datagrams", function, path=f"{folder}/receiver")


def test_io_uring_is_refused_where_it_would_open_unix_sockets(plane: DataPlaneProcess) -> None:
    functions = ["hostile"]
    if Level(plane.settings.isolation) is Level.LANDLOCK:
        functions.append("hostile-v1")
    for function in functions:
        assert call_hostile(plane, "io_uring", function) == {"ok": -1}


@pytest.mark.parametrize("function", ["hostile", "hostile-v1"])
def test_shared_memory_does_not_outlive_the_instance(plane: DataPlaneProcess, function: str) -> None:
    assert enforced(plane, Protection.SHARED_OBJECTS)
    before = Path("/proc/sysvipc/shm").read_text()
    call_hostile(plane, "shmget", function)
    assert Path("/proc/sysvipc/shm").read_text() == before


def test_environment_has_no_secrets_of_others(plane: DataPlaneProcess) -> None:
    text = str(call_hostile(plane, "environment"))
    assert SECRET_KEY not in text
    assert "secret of another" not in text
    assert SECRET_KEY not in str(call_hostile(plane, "read", path="/proc/self/environ"))


def test_instance_inherits_no_zygote_descriptors(plane: DataPlaneProcess) -> None:
    assert call_hostile(plane, "open") == {"ok": ["/dev/null", "pipe", "pipe", "socket"]}


def test_privileges_are_dropped_permanently(plane: DataPlaneProcess) -> None:
    identity = call_hostile(plane, "identity")["ok"]
    assert isinstance(identity, dict)
    status = identity["status"]
    assert status["CapEff"] == status["CapPrm"] == status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for action in ("unshare", "mount"):
        assert call_hostile(plane, action) == {"error": "PermissionError"}
    if identity["uid"] != 0:
        assert "ok" not in call_hostile(plane, "setuid")


def test_deployments_have_separate_users_when_platform_is_root(plane: DataPlaneProcess) -> None:
    if plane.owner or not enforced(plane, Protection.USERS):
        pytest.skip("separate users need root and namespaces")
    plane.deploy("neighbour", HOSTILE)
    reply = plane.call("neighbour", "/identity").json()
    assert isinstance(reply, dict)
    mine = call_hostile(plane, "identity")["ok"]
    assert isinstance(mine, dict)
    assert mine["uid"] not in (0, reply["ok"]["uid"])
    assert mine["groups"] == []


def test_disk_usage_is_limited(plane: DataPlaneProcess) -> None:
    if not enforced(plane, Protection.DISK):
        pytest.skip("not enforced at this level, as reported at startup")
    plane.deploy("filler", HOSTILE, memory=2048)
    reply = plane.call("filler", f"/fill?path=x&size={2 << 30}").json()
    assert isinstance(reply, dict)
    assert reply["ok"] <= 1 << 30
    assert reply["ok"] > 900 << 20


def test_instance_disk_is_writable_and_private(plane: DataPlaneProcess) -> None:
    if plane.settings.isolation not in ("cgroup", "namespaces"):
        pytest.skip("instances have no disk of their own at this level")
    for path in ("/tmp/x", "/home/app/x", "/var/tmp/y", "/dev/shm/z"):
        assert call_hostile(plane, "write", path=path) == {"ok": 1}
    plane.deploy("disk-neighbour", HOSTILE)
    for path in ("/tmp", "/dev/shm"):
        reply = plane.call("disk-neighbour", f"/list?path={path}").json()
        assert reply == {"ok": []}


@pytest.mark.long
def test_process_count_is_limited(plane: DataPlaneProcess) -> None:
    if not enforced(plane, Protection.PIDS):
        pytest.skip("not enforced at this level, as reported at startup")
    forked = call_hostile(plane, "forks", count=700)["ok"]
    assert isinstance(forked, int)
    assert forked < 520


def test_descriptor_count_is_limited(plane: DataPlaneProcess) -> None:
    assert enforced(plane, Protection.DESCRIPTORS)
    opened = call_hostile(plane, "descriptors", count=5000)["ok"]
    assert isinstance(opened, int)
    assert 3000 < opened < 4096
    assert call_hostile(plane, "raise-limit") == {"error": "ValueError"}


def test_memory_is_limited(plane: DataPlaneProcess) -> None:
    """The best level limits the memory of the whole instance, the others that of each process."""
    source = "def handle(e, c):\n    x = bytearray(300 << 20)\n    return 'allocated'\n"
    plane.deploy("hungry", source, memory=128)
    assert plane.call("hungry").status in (500, 502)


def test_startup_log_names_unenforced_protections(plane: DataPlaneProcess) -> None:
    log = (plane.folder / "stderr.log").read_text()
    for protection in unenforced(Level(plane.settings.isolation)):
        assert protection.value in log


def test_auto_isolation_always_hides_the_data_directory() -> None:
    for is_root in (True, False):
        for level in candidate_levels("auto", is_root=is_root):
            assert Protection.DATA_DIRECTORY in TABLE[level]
    assert candidate_levels("none", is_root=True) == (Level.NONE,)
    assert sys.platform == "linux"


def test_isolation_page_matches_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "isolation.md").read_text()
    order = (Level.CGROUP, Level.NAMESPACES, Level.LANDLOCK, Level.NONE)
    for protection in Protection:
        row = next(line for line in page.splitlines() if line.startswith(f"| {protection.value}"))
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        shown = [level for level, cell in zip(order, cells, strict=True) if cell.startswith("yes")]
        assert shown == [level for level in order if protection in TABLE[level]], row
