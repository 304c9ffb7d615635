"""What a hostile handler in each language can reach, at every level of this machine, as root and as another user.

``test_isolation`` attempts more, in Python: the sandbox is the same. These tests show that a program of another
language, which is executed in it, has got no way out, and no descriptor, path or variable that it should not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fnkit
from fnkit.contract.invocation.environment import instance_environment
from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection
from tests.support.data_plane import SECRET_KEY, DataPlaneProcess, running_data_plane
from tests.support.hostile_languages import (
    LANGUAGES,
    STARTED_AHEAD,
    HostileCode,
    HostileFunction,
    deploy_built,
    deploy_hostile,
    language_parameters,
)
from tests.support.isolation_levels import level_parameters
from tests.support.routes import make_route
from tests.support.waiting import wait_until

USER = 54340
FUNCTION_USER = 71_000
SECRET = "secret of another function"
AS_ROOT = os.geteuid() == 0
LEVELS = [(0, "cgroup"), (0, "namespaces"), (USER, "namespaces"), (0, "landlock"), (USER, "landlock")]
if not AS_ROOT:
    LEVELS = [(0, "namespaces"), (0, "landlock")]
OPEN_FILES = r"/dev/null|/proc/|.*/index\.php$|.*/\.ZendSem\.\w+ \(deleted\)$"
"""Files that an interpreter keeps open: PHP its program and the lock of opcache."""
OWN_VARIABLES = {
    "node": set[str](),
    "php": set[str](),
    "python": {"LC_CTYPE"},
    "go": set[str](),
    "rust": set[str](),
}
"""Variables that an interpreter adds by itself."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # of the first build


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        secret = running.folder / "platform.json"
        secret.write_text(SECRET_KEY)
        secret.chmod(0o600)
        if user:
            os.chown(secret, user, user)
        running.folder.chmod(0o700)
        running.deploy("other", "def handle(e, c):\n    return 'other'\n", environment={"S": SECRET}, min_scale=1)
        assert running.call("other").body == b"other"
        yield running


@pytest.fixture(scope="module", params=language_parameters())
def hostile(request: pytest.FixtureRequest, plane: DataPlaneProcess, code: HostileCode) -> HostileFunction:
    language = request.param
    uid = 0 if plane.owner else FUNCTION_USER + LANGUAGES.index(language)
    return deploy_hostile(plane, code, language, memory=512, uid=uid, environment={"OWN": "own value"})


def has_own_root(plane: DataPlaneProcess) -> bool:
    return Level(plane.settings.isolation).has_namespaces


def code_directory(function: HostileFunction) -> Path:
    if has_own_root(function.plane):
        return Path("/home/app/function")
    [directory] = (function.plane.folder / "deployments").glob(f"{function.name}-*")
    return directory


def skip_unless_enforced(plane: DataPlaneProcess, protection: Protection) -> None:
    if protection not in TABLE[Level(plane.settings.isolation)]:
        pytest.skip("not enforced at this level, as reported at startup")


def test_files_of_the_platform_and_of_others_cannot_be_read(hostile: HostileFunction) -> None:
    folder = hostile.plane.folder
    [other] = (folder / "deployments").glob("other-*")
    for path in (folder / "platform.json", folder / "stderr.log", other / "handler.py", "/etc/shadow"):
        assert hostile.refuses("read", path), path
    for path in (folder, folder / "deployments", folder / "logs", other):
        assert hostile.refuses("list", path), path
    for path in ("/usr/x", folder / "x", "/dev/x", "/proc/x", "/sys/x"):
        assert hostile.refuses("write", path), path
    assert "NAME=" in hostile.text("read", "/etc/os-release")


def test_other_processes_cannot_be_inspected_or_signalled(hostile: HostileFunction) -> None:
    plane = hostile.plane
    foreign = [plane.process.pid, os.getpid(), *plane.zygotes()]
    for pid in foreign:
        for name in ("environ", "mem", "maps"):
            assert hostile.refuses("read", f"/proc/{pid}/{name}"), name
    shown = hostile.text("shell", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; true")
    assert SECRET not in shown
    assert SECRET_KEY not in shown
    skip_unless_enforced(plane, Protection.SIGNALS)
    for pid in foreign:
        assert hostile.refuses("kill", count=pid)


def test_sockets_of_the_platform_cannot_be_reached(hostile: HostileFunction) -> None:
    settings = hostile.plane.settings
    for path in (settings.control_socket, settings.gateway_socket, settings.delivery_socket):
        assert hostile.refuses("connect", path), path


def descriptors_of(hostile: HostileFunction) -> dict[int, str]:
    links = hostile.do("links")
    assert isinstance(links, list)
    pairs = [link.split(" ", 1) for link in links]
    return {int(number): target for number, target in pairs}


def test_program_has_the_descriptors_of_its_instance_alone(hostile: HostileFunction) -> None:
    found = descriptors_of(hostile)
    assert [found[number].partition(":")[0] for number in range(3)] == ["/dev/null", "pipe", "pipe"]
    files = {target for target in found.values() if target.startswith("/")}
    assert not {target for target in files if not re.match(OPEN_FILES, target)}, found
    # The loops of Node and Rust wake themselves, over a pair of sockets in Rust.
    sockets = {target for target in found.values() if target.startswith("socket")}
    assert len(sockets) <= (3 if hostile.language == "rust" else 1), found


def test_child_process_of_a_handler_inherits_no_descriptor(hostile: HostileFunction) -> None:
    if not has_own_root(hostile.plane):
        pytest.skip("child processes cannot read their own /proc at this level")
    own = descriptors_of(hostile)
    shown = hostile.text("shell", "ls -l /proc/self/fd").splitlines()
    inherited = dict(line.split(" ")[-3::2] for line in shown if " -> " in line)
    assert set(map(int, inherited)) <= {0, 1, 2, 3}, shown
    private = {target for number, target in own.items() if number > 2 and ":" in target}
    assert not private & set(inherited.values())


def test_privileges_are_dropped(hostile: HostileFunction) -> None:
    texts = [hostile.text("read", "/proc/self/status")]
    if has_own_root(hostile.plane):  # elsewhere, child processes cannot read it
        texts.append(hostile.text("shell", "cat /proc/self/status"))
    for shown in texts:
        status = dict(line.split(":\t", 1) for line in shown.splitlines() if ":\t" in line)
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        if has_own_root(hostile.plane):
            assert status["Uid"].split()[0] != "0"
            assert status["Groups"].split() in ([], ["65534"], [str(hostile.plane.owner)])


def test_environment_is_complete_and_has_nothing_of_others(hostile: HostileFunction) -> None:
    plane = hostile.plane
    found = hostile.do("environment")
    assert isinstance(found, dict)
    route = make_route(
        hostile.name,
        function_id=hostile.function_id,
        memory=512,
        environment={"OWN": "own value"},
        language={"go": "Go", "rust": "Rust", "php": "PHP"}.get(hostile.language, "Node"),
        handler={"go": "Handle", "rust": "handle"}.get(hostile.language, "handler.handle"),
    )
    home = found["HOME"]
    wanted = instance_environment(
        route.environment_spec, home=home, root=str(code_directory(hostile)), user=found["USER"]
    )
    if not has_own_root(plane):
        wanted["TMPDIR"] = home
    differing = {name: value for name, value in found.items() if wanted.get(name) != value}
    assert set(differing) <= {"LC_CTYPE"}, differing  # Python sets it
    assert set(wanted) <= set(found), set(wanted) - set(found)
    assert SECRET not in str(found)
    assert SECRET_KEY not in hostile.text("read", "/proc/self/environ")


def test_no_path_of_the_platform_is_found(hostile: HostileFunction) -> None:
    plane = hostile.plane
    hidden = [Path(fnkit.__file__).parents[1], Path(pytest.__file__).parents[1], plane.folder]
    places = {
        **{name: hostile.text("read", f"/proc/self/{name}") for name in ("cmdline", "environ", "comm", "maps")},
        "stack": hostile.text("stack"),
        "links": str(hostile.do("links")),
        "environment": str(hostile.do("environment")),
    }
    # A program finds its interpreter, which may be in a directory beside fnkit; nothing around that is there.
    program = Path(places["cmdline"].partition("\0")[0])
    own = [re.escape(str(program))]
    if has_own_root(plane) and program.is_relative_to(hidden[0]):
        assert hostile.do("list", program.parents[2]) == [program.parents[1].name]
    if not has_own_root(plane):
        own += [re.escape(str(code_directory(hostile))), rf"{re.escape(str(plane.folder))}/[\w-]+/home-\w+"]
    for place, text in places.items():
        rest = re.sub("|".join(own), "", text) if own else text
        assert not [path for path in hidden if str(path) in rest], (place, rest)


def test_users_of_functions_differ(hostile: HostileFunction, code: HostileCode) -> None:
    plane = hostile.plane
    skip_unless_enforced(plane, Protection.USERS)
    if plane.owner or not AS_ROOT:
        pytest.skip("separate users need root")
    neighbour = deploy_hostile(plane, code, hostile.language, f"neighbour-{hostile.language}")
    users = {one.text("shell", "id -u").strip() for one in (hostile, neighbour)}
    assert len(users) == 2
    assert not users & {"0", ""}


def test_disk_is_writable_and_private(hostile: HostileFunction, code: HostileCode) -> None:
    plane = hostile.plane
    if not has_own_root(plane):
        pytest.skip("instances have no disk of their own at this level")
    for path in ("/tmp/x", "/home/app/x", "/var/tmp/y", "/dev/shm/z", "/opt/x", "/etc/x", "/home/app/function/x"):
        assert hostile.do("write", path) is None
        assert hostile.do("rename", path) is None
        assert hostile.do("remove", f"{path}.renamed") is None
    name = f"disk-{hostile.language}"
    files = {"data/old.txt": "old", "data/deep/kept.txt": "kept"}
    function = deploy_built(plane, code, hostile.language, name, files)
    root = "/home/app/function"
    assert function.do("write", f"{root}/data/old.txt") is None
    assert function.text("read", f"{root}/data/old.txt") == "x"
    assert function.do("rename", f"{root}/data/deep/kept.txt") is None
    assert function.do("make", f"{root}/data/new") is None
    assert function.do("write", f"{root}/data/new/file") is None
    assert function.do("remove", f"{root}/data/old.txt") is None
    [directory] = (plane.folder / "deployments").glob(f"{name}-*")
    if hostile.language in STARTED_AHEAD:  # everybody may write to its files, but nobody else can reach them
        assert directory.stat().st_mode & 0o007 == 0
    assert (directory / "data/old.txt").read_text() == "old"
    assert not (directory / "data/new").exists()
    assert function.status("exit")[0] in (500, 502)
    wait_until(function.end_reasons)
    assert function.text("read", f"{root}/data/old.txt") == "old"


def test_processes_of_an_instance(hostile: HostileFunction) -> None:
    if not has_own_root(hostile.plane):
        pytest.skip("instances see the processes of the machine's user at this level")
    listed = hostile.do("list", "/proc")
    assert isinstance(listed, list)
    pids = [name for name in listed if name.isdigit() and name != "1"]
    # Node cannot reap the helper that has completed its sandbox.
    assert len(pids) <= (1 if hostile.language == "node" else 0), pids
    for pid in pids:
        assert "\nState:\tZ" in hostile.text("read", f"/proc/{pid}/status")
