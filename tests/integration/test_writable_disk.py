"""The writable disk of instances: everything except ``/usr`` can be changed, and no other instance sees it.

At each isolation level with a root directory of its own, for both sandboxes and for preloaded deployments.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.data_plane.workers.program import local_program
from fnkit.platform.model.routing import Route
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import level_parameters
from tests.support.resource_counts import PREWARMED
from tests.support.waiting import DEADLINE, wait_until

USER = 54330
FUNCTION_USER = 70_001
LEVELS = [(0, "cgroup"), (0, "namespaces"), (USER, "namespaces")] if os.geteuid() == 0 else [(0, "namespaces")]
KINDS = ("v2", "v1", "preloaded")
DIRECTORIES = ("/", "/etc", "/usr/local", "/root", "/opt", "/home/app", "/var", "/home/app/function")
HEAVY = (
    "import os, time\nuntil = time.process_time() + 0.06\nwhile time.process_time() < until: pass\n"
    "TOKEN = os.urandom(8).hex()\n"
)
HANDLER = """
import ctypes, itertools, os, shutil, sqlite3
try:
    import heavy
    TOKEN = heavy.TOKEN
except ImportError:
    TOKEN = ""

def exercise(directory):
    os.makedirs(directory + "/made/deeper")
    with open(directory + "/made/file", "w") as file:
        file.write("one")
    with open(directory + "/made/file", "r+") as file:
        file.write("two")
    os.rename(directory + "/made/file", directory + "/renamed")
    os.chmod(directory + "/renamed", 0o600)
    shutil.rmtree(directory + "/made")
    open(directory + "/left", "w").close()
    return open(directory + "/renamed").read()

def change_existing():
    with open("/etc/hosts", "r+") as file:
        file.write("overwritten")
    os.rename("/etc/hosts", "/etc/moved")
    shutil.rmtree("/etc/ssl/certs")
    os.mkdir("/etc/ssl/certs")
    os.rmdir("/srv")
    for parent, _, names in itertools.islice(os.walk("/usr/local"), 20):
        for name in names[:1]:
            os.unlink(os.path.join(parent, name))
            open(os.path.join(parent, name), "w").close()
    with open("handler.py", "r+") as file:
        file.write("# overwritten")
    os.chmod("handler.py", 0o700)
    os.rename("data/seed.txt", "data/moved.txt")
    os.unlink("data/other.txt")
    os.mkdir("data/new")
    shutil.rmtree("deep")
    return os.stat("handler.py").st_uid == os.getuid()

def examples():
    database = sqlite3.connect("/home/app/function/corpus.sqlite3")
    mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    database.execute("CREATE TABLE words (word)")
    database.execute("INSERT INTO words VALUES ('hello')")
    database.commit()
    os.makedirs("/etc/ssl/certs/redis")
    with open("/etc/ssl/certs/redis/redis_certificate.crt", "w") as file:
        file.write("secret")
    return [mode, database.execute("SELECT word FROM words").fetchone()[0]]

def fill(directory):
    import mmap, time
    mebibyte = mmap.mmap(-1, 1 << 20)
    for number in range(11):
        path = directory + "/filler%d" % number
        try:
            # Past the page cache: cgroup v1 ends a process for lack of memory whose data a busy disk does not take.
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        except OSError:  # this file system has the page cache only
            file = os.open(path, os.O_WRONLY | os.O_CREAT)
        for _ in range(100):
            os.write(file, mebibyte)
        os.close(file)
    time.sleep(300)

def errors(*actions):
    found = []
    for action in actions:
        try:
            action()
            found.append("")
        except OSError as error:
            found.append(type(error).__name__)
    return found

def attack():
    with open("/opt/setuid", "w") as file:
        file.write("#!/bin/sh")
    os.chmod("/opt/setuid", 0o6777)
    here = os.getcwd()
    for _ in range(1500):
        os.mkdir("nested")
        os.chdir("nested")
    os.chdir(here)
    os.chmod("data", 0)
    attributes = errors(lambda: os.setxattr("/opt", "trusted.overlay.opaque", b"y"),
                        lambda: os.setxattr("/opt", "trusted.overlay.redirect", b"/"))
    for name in ("opaque", "redirect", "metacopy", "origin"):  # refused, or of no effect
        errors(lambda: os.setxattr("/opt", "user.overlay." + name, b"y"))
    nodes = errors(lambda: os.mknod("/opt/whiteout", 0o020666, 0),
                   lambda: os.mknod("/opt/memory", 0o020666, 0x101),
                   lambda: os.mknod("handler.pyc", 0o020666, 0), lambda: os.mknod("/opt/disk", 0o060666, 0x800))
    return {"attributes": attributes, "nodes": nodes, "outside": os.listdir("/run/fnkit"),
            "mounts": [line.split()[1] for line in open("/proc/self/mounts") if "/run/" in line]}

def state():
    found = {}
    for directory in ("/", "/etc", "/etc/ssl/certs", "/usr/local", "/root", "/opt", "..", "/var", ".", "data"):
        found[directory] = sorted(set(os.listdir(directory)) - {"__pycache__"})
    return [found, open("/etc/hosts").read(), open("handler.py").read(), open("data/seed.txt").read()]

def handle(event, context):
    os.chdir("/home/app/function")
    path = event["path"][1:]
    query = event["queryStringParameters"]
    actions = {
        "exercise": lambda: exercise(query["directory"]),
        "fill": lambda: fill(query["directory"]),
        "change": change_existing, "examples": examples, "attack": attack, "state": state,
        "token": lambda: TOKEN, "end": lambda: os._exit(3), "uid": os.getuid,
        "kinds": lambda: {line.split()[1]: line.split()[2] for line in open("/proc/self/mounts")},
    }
    return {"body": {"result": actions[path]()}}
"""
FILES = {
    "handler.py": HANDLER,
    "data/seed.txt": "seed",
    "data/other.txt": "other",
    "deep/er/file.txt": "deep",
}


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        yield running


def deploy(plane: DataPlaneProcess, name: str, kind: str, **changes: object) -> Route:
    """Deploy a function; a preloaded one is ready when its instances are forked from a zygote of its own."""
    uid = FUNCTION_USER + name_number(name)
    sandbox = "v1" if kind == "v1" else "v2"
    files = FILES if kind != "preloaded" else {**FILES, "package/heavy.py": HEAVY}
    settings = {"max_scale": 1, "memory": 512, "uid": 0 if plane.owner else uid, "sandbox": sandbox, **changes}
    route = plane.deploy(name, files, **settings)
    if kind == "preloaded":
        wait_until(lambda: is_preloaded(plane, name), what=f"{name} preloaded")
    return route


def name_number(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:4], 16)


def is_preloaded(plane: DataPlaneProcess, name: str) -> bool:
    """Return whether two instances were forked from the process that has imported the package."""
    tokens = set()
    for _ in range(2):
        end_instance(plane, name)
        tokens.add(call(plane, name, "token"))
    return len(tokens) == 1


def call(plane: DataPlaneProcess, name: str, action: str, **query: str) -> object:
    text = "&".join(f"{key}={value}" for key, value in query.items())
    reply = plane.call(name, f"/{action}?{text}")
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert isinstance(answer, dict)
    return answer["result"]


def end_instance(plane: DataPlaneProcess, name: str) -> None:
    assert plane.call(name, "/end").status == 502


def tree_hash(*directories: Path) -> str:
    """Return a hash of names, modes, owners and contents of everything below these directories."""
    digest = hashlib.sha256()
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            status = path.lstat()
            digest.update(f"{path} {status.st_mode} {status.st_uid} {status.st_size} {status.st_mtime_ns}".encode())
            if path.is_file() and not path.is_symlink():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def host_state(route: Route) -> str:
    names = [sorted(Path(directory).iterdir()) for directory in ("/", "/etc", "/usr/local", "/opt", "/var")]
    trees = tree_hash(Path(local_program(route).code_dir), Path("/etc/ssl"))
    return f"{names} {Path('/etc/hosts').read_text()} {trees}"


@pytest.mark.parametrize("kind", KINDS)
def test_everything_can_be_changed_and_nobody_else_sees_it(plane: DataPlaneProcess, kind: str) -> None:
    name = f"writer-{kind}"
    route = deploy(plane, name, kind)
    end_instance(plane, name)
    original = call(plane, name, "state")
    host = host_state(route)
    for directory in DIRECTORIES:
        assert call(plane, name, "exercise", directory=directory) == "two", directory
    assert call(plane, name, "change") is True
    assert host_state(route) == host
    end_instance(plane, name)
    assert call(plane, name, "state") == original
    assert call(plane, name, "change") is True
    deploy(plane, name, kind)
    assert call(plane, name, "state") == original
    assert call(plane, name, "exercise", directory="/opt") == "two"
    deploy(plane, f"other-{kind}", kind)
    assert call(plane, f"other-{kind}", "state") == original
    assert host_state(route) == host


@pytest.mark.parametrize("kind", KINDS)
def test_published_examples_work(plane: DataPlaneProcess, kind: str) -> None:
    deploy(plane, f"examples-{kind}", kind)
    assert call(plane, f"examples-{kind}", "examples") == ["wal", "hello"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_tmp_and_shared_memory_of_v2_are_in_memory(plane: DataPlaneProcess, kind: str) -> None:
    deploy(plane, f"kinds-{kind}", kind)
    kinds = call(plane, f"kinds-{kind}", "kinds")
    assert isinstance(kinds, dict)
    assert {path: kinds.get(path) for path in ("/", "/usr/local", "/home/app/function", "/dev/shm")} == {
        "/": "overlay", "/usr/local": "overlay", "/home/app/function": "overlay", "/dev/shm": "tmpfs",
    }  # fmt: skip
    assert (kinds["/tmp"] == "tmpfs") is (kind != "v1")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directory", ["/opt", "/home/app/function"])
def test_full_disk_ends_the_instance(plane: DataPlaneProcess, kind: str, directory: str) -> None:
    name = f"full-{kind}-{len(directory)}"
    route = deploy(plane, name, kind, memory=256, timeout=2 * DEADLINE)
    before = len(plane.exit_reasons(route.function_id))
    assert plane.call(name, f"/fill?directory={directory}").status == 502
    wait_until(lambda: len(plane.exit_reasons(route.function_id)) > before)
    assert plane.exit_reasons(route.function_id)[before] == "out of disk: more than 1024 MiB"
    assert call(plane, name, "uid") != 0


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_files_stay_inside_and_are_removed(plane: DataPlaneProcess, kind: str) -> None:
    name = f"hostile-{kind}"
    route = deploy(plane, name, kind)
    end_instance(plane, name)
    original, host = call(plane, name, "state"), host_state(route)
    result = call(plane, name, "attack")
    assert isinstance(result, dict)
    assert all(result["nodes"]), result
    assert all(result["attributes"]), result
    assert (result["outside"], result["mounts"]) == ([], [])
    assert nested_disks(plane)
    end_instance(plane, name)
    assert call(plane, name, "state") == original
    assert host_state(route) == host
    wait_until(lambda: not nested_disks(plane), what="disk removed")


def test_import_in_a_zygote_sees_no_code_of_others(plane: DataPlaneProcess) -> None:
    found = "import os\nSEEN = {name: os.listdir('/run/fnkit/' + name) for name in ('codes', 'original-codes')}\n"
    handler = HANDLER.replace("TOKEN = heavy.TOKEN", "TOKEN = [heavy.TOKEN, heavy.SEEN]")
    files = {
        **FILES,
        "handler.py": handler,
        "package/heavy.py": HEAVY + "import os\nSEEN = None\n" + guarded(found),
    }
    uid = 0 if plane.owner else FUNCTION_USER
    plane.deploy("curious", files, max_scale=1, memory=512, uid=uid)

    def tokens() -> object:
        end_instance(plane, "curious")
        answer = call(plane, "curious", "token")
        assert isinstance(answer, list)
        return answer[1]

    assert wait_until(tokens, what="preloaded") == {"codes": [], "original-codes": []}


def guarded(source: str) -> str:
    """Return source code of which errors are ignored: only zygotes have the directories that it lists."""
    return "try:\n" + "".join(f"    {line}\n" for line in source.splitlines()) + "except OSError: pass\n"


def nested_disks(plane: DataPlaneProcess) -> list[Path]:
    """Return the directories that the attack has made in the codes of functions."""
    disks = plane.folder / "disks"
    try:
        return [*disks.glob("*/code/upper/*/nested"), *disks.glob("*/*/code/upper/nested")]
    except FileNotFoundError:
        return [disks]  # a disk is being removed


@pytest.mark.long
def test_nothing_is_left_after_a_stop_or_a_kill() -> None:
    with running_data_plane() as plane:
        disks = plane.folder / "disks"
        deploy(plane, "leaver", "v2")
        call(plane, "leaver", "exercise", directory="/opt")
        restarted = plane.control.connections + 1
        plane.process.kill()
        plane.process.wait()
        assert list(disks.glob("*/root/upper/opt/renamed"))
        process = subprocess.Popen(
            [plane.interpreter, "-m", "fnkit.platform.data_plane.process"], stdin=subprocess.PIPE, cwd="/"
        )
        plane.process = process
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(plane.settings))
        process.stdin.close()
        wait_until(lambda: plane.control.connections >= restarted, what="the data plane connected again")
        assert not list(disks.glob("*"))
        deploy(plane, "leaver", "v2")
        assert list(disks.glob("*"))
        assert plane.stop() == 0
        assert not list(disks.glob("*"))


def test_files_of_preloaded_modules_are_in_each_instance(plane: DataPlaneProcess) -> None:
    """Wherever imports create them. A module that deletes files is imported by each instance instead."""
    creating = "open('/opt/created', 'w').write('a')\nopen(__file__ + '.cache', 'w').write('b')\n"
    deleting = "import os\nos.path.exists('/etc/hosts') and os.unlink('/etc/hosts')\n"
    handler = (
        "import deleting, heavy, os\n"
        "def handle(event, context):\n"
        "    if event['path'] == '/end': os._exit(3)\n"
        "    found = [open('/opt/created').read(), open('package/heavy.py.cache').read()]\n"
        "    found.append(os.path.exists('/etc/hosts'))\n"
        "    return {'body': {'result': found if event['path'] == '/found' else heavy.TOKEN}}\n"
    )
    files = {"handler.py": handler.replace("'package", "'/home/app/function/package"),
             "package/heavy.py": HEAVY + creating, "package/deleting.py": deleting}  # fmt: skip
    route = plane.deploy("created", files, max_scale=1, memory=512, uid=0 if plane.owner else FUNCTION_USER)
    wait_until(lambda: is_preloaded(plane, "created"), what="preloaded")
    assert call(plane, "created", "found") == ["a", "b", False]
    logged = [line.message for line in plane.log_lines(route) if line.message.startswith("preload:")]
    assert logged == ["preload: excluded deleting: leaves files behind"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root")
@pytest.mark.parametrize("kind", KINDS)
def test_instances_write_to_memory_if_the_data_directory_is_on_an_overlay(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # short, because it will contain the path of a socket
        for name in ("lower", "upper", "work", "m"):
            Path(folder, name).mkdir()
        options = ",".join(f"{name}dir={folder}/{name}" for name in ("lower", "upper", "work"))
        merged = f"{folder}/m"
        if subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", merged], check=False).returncode:
            pytest.skip("this root user may not mount overlays")
        monkeypatch.setattr(tempfile, "tempdir", merged)
        try:
            with running_data_plane() as plane:
                assert "instances write to memory" in (plane.folder / "stderr.log").read_text()
                deploy(plane, "memory", kind)
                for directory in DIRECTORIES:
                    assert call(plane, "memory", "exercise", directory=directory) == "two"
                assert call(plane, "memory", "change") is True
        finally:
            subprocess.run(["umount", "--lazy", merged], check=True)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("kind", KINDS)
def test_instances_start_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("this root user may not mount file systems")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        with running_data_plane() as plane:
            deploy(plane, "full", kind)
            with (tmp_path / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(bytes(65536))
            for _ in range(PREWARMED + 1):  # those that were made before the disk was full come first
                end_instance(plane, "full")
                assert call(plane, "full", "uid") == FUNCTION_USER + name_number("full")
            assert call(plane, "full", "exercise", directory="/opt") == "two"
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_code_is_read_only_where_it_is_shared() -> None:
    with running_data_plane(isolation="landlock") as plane:
        deploy(plane, "shared", "v2")
        for directory in ("/home/app/function", "/etc", "/opt"):
            assert plane.call("shared", f"/exercise?directory={directory}").status == 500


KEYRING = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def handle(event, context):
    call = {"x86_64": 250, "aarch64": 219}[__import__("os").uname().machine]
    key = libc.syscall(call, 10, -3, b"user", b"%s", 0)
    return {"body": {"result": key > 0}}
"""


@pytest.mark.long
@pytest.mark.parametrize("sandbox", ["v1", "v2"])
@pytest.mark.parametrize(("user", "level"), [*LEVELS, (LEVELS[-1][0], "landlock"), (0, "none")], ids=str)
def test_session_keyring_of_the_platform_is_out_of_reach(user: int, level: str, sandbox: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {"x86_64": (250, 248), "aarch64": (219, 217)}[os.uname().machine]
    if libc.syscall(numbers[0], 1, None) < 0:
        pytest.skip("this machine has no kernel keys")
    assert libc.syscall(numbers[1], b"user", b"fnkit-test", b"secret", 6, -3) > 0
    with running_data_plane(isolation=level, user=user) as plane:
        plane.deploy("keys", KEYRING % "fnkit-test", sandbox=sandbox)
        assert call(plane, "keys", "search") is False


def test_code_that_is_deployed_after_a_root_was_mounted_is_seen(plane: DataPlaneProcess) -> None:
    """The codes of all functions are a layer of the roots of pre-warmed workers, which are older than the code."""
    for number in range(6):
        plane.deploy("changing", f"def handle(event, context):\n    return '{number}'\n")
        assert plane.call("changing").body == str(number).encode()
