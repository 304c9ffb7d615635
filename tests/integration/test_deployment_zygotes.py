"""Third-party modules imported once per deployment: what is shared, what never is, and what stays out.

The packages are tiny ones of the test's own. Each takes some CPU to import, as real ones do, and notes a random
token: two instances that show the same one were forked from where it was imported.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.routing import ClockState, Route
from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.resource_counts import PREWARMED, resource_counts
from tests.support.waiting import wait_until

USER = 54322
SLOW = "import os, time\nuntil = time.process_time() + 0.06\nwhile time.process_time() < until: pass\n"
HEAVY = SLOW + "TOKEN = os.urandom(8).hex()\n"
HANDLER = """
import ctypes, heavy, os, random

def libc(name, *arguments):
    ctypes.CDLL(None, use_errno=True)[name](*arguments)
    return ctypes.get_errno()

def attempts():
    library = ctypes.CDLL(None, use_errno=True)
    found = []
    for call in (lambda: library.unshare(0x10000000), lambda: library.unshare(0x00020000),
                 lambda: library.mount(b"none", b"/tmp", b"tmpfs", 0, None)):
        found.append([call(), ctypes.get_errno()])
    return found

def handle(event, context):
    here = os.getcwd()
    before = sorted(name for folder in {here, "/tmp", "/dev/shm"} if here == "/home/app" or folder == here
                    for name in os.listdir(folder))
    open("mark", "w").close()
    return {"body": {
        "token": heavy.TOKEN,
        "files": before,
        "environment": dict(os.environ),
        "random": random.random(),
        "value": getattr(heavy, "VALUE", None),
        "descriptors": sorted(os.readlink("/proc/self/fd/" + name).partition(":")[0]
                              for name in os.listdir("/proc/self/fd")
                              if os.path.islink("/proc/self/fd/" + name)),
        "status": dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status")
                       if line.startswith(("CapE", "CapP", "CapI", "NoNewPrivs", "Seccomp:", "NSpid", "Uid"))),
        "attempts": attempts() if event["path"] == "/attempts" else None,
        "stdout": open("/dev/stdout", "w").write("x\\n"),
    }}
"""


@dataclass
class Sleeper:
    """A data plane whose clock a test moves, so that each call finds no instance."""

    plane: DataPlaneProcess
    now: float = field(default_factory=time.time)

    def fall_asleep(self) -> None:
        self.now += 1000
        clock = ClockState(platform_time=self.now, real_time=time.time(), speed=0.0)
        self.plane.control.send_and_wait_for_ack(
            routing.ClockChanged(version=self.plane.control.next_version(), clock=clock)
        )

    def cold(self, name: str, path: str = "/") -> dict[str, Any]:
        self.fall_asleep()
        reply = self.plane.call(name, path)
        assert reply.status == 200, reply.body
        answer = reply.json()
        assert isinstance(answer, dict)
        return answer

    def deploy(self, name: str, heavy: str = HEAVY, **changes: object) -> Route:
        return self.plane.deploy(name, {"handler.py": HANDLER, "package/heavy.py": heavy}, **changes)

    def preloaded(self, name: str) -> str:
        """Wait until two cold starts show the same token, and return it."""

        def shared() -> str:
            first, second = self.cold(name)["token"], self.cold(name)["token"]
            return str(first) if first == second else ""

        return wait_until(shared, what=f"{name} is not preloaded")

    def said(self, route: Route) -> list[str]:
        lines = [line.message for line in self.plane.log_lines(route) if line.stream == "system"]
        return [line for line in lines if line.startswith("preload:")]


LEVELS = ((0, "auto"), (USER, "auto"), (0, "none"))


@pytest.fixture(scope="module", params=LEVELS, ids=["root", "user", "none"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Sleeper]:
    user, isolation = request.param
    if os.geteuid() != 0 and user:
        pytest.skip("only root can become another user")
    with running_data_plane(user=user, isolation=isolation) as plane:
        yield Sleeper(plane)


@pytest.fixture(scope="module")
def sleeper() -> Iterator[Sleeper]:
    with running_data_plane() as plane:
        yield Sleeper(plane)


def test_instances_share_what_was_imported_and_nothing_else(anywhere: Sleeper) -> None:
    environment = {"LEVEL": "debug", "KEY": "hidden"}
    anywhere.deploy("shared", environment=environment, secret_names=("KEY",))
    token = anywhere.preloaded("shared")
    first, second = anywhere.cold("shared"), anywhere.cold("shared")
    assert first["token"] == second["token"] == token
    assert first["random"] != second["random"]
    assert first["files"] == second["files"] == (["function"] if "function" in first["files"] else [])
    for answer in (first, second):
        assert answer["environment"].items() >= environment.items()
        assert answer["descriptors"] == ["/dev/null", "pipe", "pipe", "socket"]


def test_an_instance_of_a_deployment_zygote_has_the_walls_of_any_other(anywhere: Sleeper) -> None:
    anywhere.deploy("walls", preload=False)
    fresh = anywhere.cold("walls", "/attempts")
    anywhere.deploy("walls")
    token = anywhere.preloaded("walls")
    forked = anywhere.cold("walls", "/attempts")
    assert forked["token"] == token != fresh["token"]
    if anywhere.plane.settings.isolation == "none":
        return
    assert forked["status"] == fresh["status"]
    assert forked["status"]["CapEff"] == "0" * 16
    assert forked["status"]["NSpid"].split()[-1] == "1"
    assert forked["attempts"] == fresh["attempts"] == [[-1, 1]] * 3


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            "import threading\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n",
            "starts threads",
        ),
        ("VALUE = os.environ.get('KEY')\n", "reads the variable KEY"),
        ("VALUE = dict(os.environ)['KEY']\n", "reads the variable KEY"),
        ("VALUE = 'hidden'\nKEPT = open(__file__)\n", "keeps a file or a socket open"),
        ("import own\nVALUE = own.VALUE\n", "imports the function's own module own"),
        (
            "if os.environ.get('KEY') is None: raise KeyError\nVALUE = 'hidden'\n",
            "reads the variable KEY",
        ),
        ("if os.fork() == 0: time.sleep(100)\nVALUE = 'hidden'\n", "starts processes"),
    ],
    ids=["thread", "secret", "whole-environment", "descriptor", "own-module", "error", "process"],
)
def test_what_an_instance_must_not_inherit_stays_out_and_is_named_once(
    sleeper: Sleeper, extra: str, said: str, request: pytest.FixtureRequest
) -> None:
    name = f"out-{request.node.callspec.id}"
    files = {"handler.py": HANDLER, "package/heavy.py": HEAVY + extra, "own.py": "VALUE = 'hidden'\n"}
    route = sleeper.plane.deploy(name, files, environment={"KEY": "hidden"}, secret_names=("KEY",))
    wait_until(lambda: sleeper.said(route), what="nothing was said")
    first, second = sleeper.cold(name), sleeper.cold(name)
    assert first["token"] != second["token"]
    assert second["value"] == (None if "VALUE" not in extra else "hidden")
    assert sleeper.said(route) == [f"preload: excluded heavy: {said}"]


def test_the_rest_is_preloaded_where_one_module_stays_out(sleeper: Sleeper) -> None:
    files = {
        "handler.py": "import threaded\ntry:\n    import broken\nexcept ValueError:\n    pass\n" + HANDLER,
        "package/broken.py": "raise ValueError\n",
        "package/heavy.py": HEAVY,
        "package/threaded/__init__.py": "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n",
    }
    route = sleeper.plane.deploy("rest", files)
    sleeper.preloaded("rest")
    assert sleeper.said(route) == [
        "preload: excluded threaded: starts threads",
        "preload: excluded broken: could not be imported (ValueError)",
    ]


def test_what_an_import_does_to_the_environment_and_the_disk_is_done_in_each_instance(sleeper: Sleeper) -> None:
    extra = (
        "os.environ['HEAVY_HOME'] = '/tmp/heavy'\nos.makedirs('/tmp/heavy/cache', exist_ok=True)\n"
        "open('/tmp/heavy/cache/index', 'w').write('made at import')\n"
        "class Late:\n    def __repr__(self):\n        return open('/tmp/heavy/cache/index').read()\n"
        "LATE = Late()\n"
    )
    handler = HANDLER.replace('getattr(heavy, "VALUE", None)', "repr(heavy.LATE)")
    sleeper.plane.deploy("traces", {"handler.py": handler, "package/heavy.py": HEAVY + extra})
    before = sleeper.cold("traces")
    sleeper.preloaded("traces")
    after = sleeper.cold("traces")
    assert after["environment"] == before["environment"]
    assert after["environment"]["HEAVY_HOME"] == "/tmp/heavy"
    assert after["value"] == before["value"] == "made at import"
    assert after["files"] == before["files"]


def test_only_what_runs_for_sure_is_imported_ahead(sleeper: Sleeper) -> None:
    """Through the function's own modules, but not in functions, nor behind conditions."""
    mark = "import os\nopen('/tmp/' + __name__, 'w').close()\n"
    files = {
        "handler.py": "import first\nfrom parts import second\n"
        + HANDLER
        + "\ndef later():\n    import lazy\n\nif False:\n    import never\n",
        "first.py": "import json\ntry:\n    from big import part\nexcept ImportError:\n    part = None\n",
        "parts/__init__.py": "",
        "parts/second.py": "from . import third\n",
        "parts/third.py": "import deep\n",
        "package/heavy.py": HEAVY,
        **{
            f"package/{name}": mark for name in ("lazy.py", "never.py", "deep.py", "big/__init__.py", "big/part.py")
        },
    }
    sleeper.plane.deploy("chosen", files)
    sleeper.preloaded("chosen")
    assert sleeper.cold("chosen")["files"] == ["big", "big.part", "deep", "function"]


def test_preload_false_imports_nothing_ahead(sleeper: Sleeper) -> None:
    route = sleeper.deploy("unwanted", preload=False)
    tokens = {sleeper.cold("unwanted")["token"] for _ in range(4)}
    assert len(tokens) == 4
    assert sleeper.said(route) == []


def test_a_function_without_packages_has_no_zygote_of_its_own(sleeper: Sleeper) -> None:
    sleeper.plane.deploy("plain", {"handler.py": HANDLER, "heavy.py": HEAVY})
    assert len({sleeper.cold("plain")["token"] for _ in range(4)}) == 4


def test_a_killed_deployment_zygote_is_made_again_and_requests_are_answered_meanwhile(sleeper: Sleeper) -> None:
    sleeper.deploy("killed")
    token = sleeper.preloaded("killed")
    sleeper.fall_asleep()
    victims = deployment_zygotes(sleeper.plane)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in victims))
    assert sleeper.cold("killed")["token"] != token
    assert sleeper.preloaded("killed") != token


def test_an_update_imports_anew_and_the_old_zygote_goes(sleeper: Sleeper) -> None:
    sleeper.deploy("updated")
    token = sleeper.preloaded("updated")
    old = set(deployment_zygotes(sleeper.plane))
    sleeper.deploy("updated")
    assert sleeper.cold("updated")["token"] != token
    assert sleeper.preloaded("updated") != token
    wait_until(lambda: len(old & set(deployment_zygotes(sleeper.plane))) < len(old))


def test_a_deleted_functions_zygote_goes() -> None:
    with running_data_plane() as plane:
        sleeper = Sleeper(plane)
        route = sleeper.deploy("deleted")
        sleeper.preloaded("deleted")
        assert len(deployment_zygotes(plane)) == 1
        version = plane.control.next_version()
        plane.control.send_and_wait_for_ack(routing.RemoveFunction(version=version, function_id=route.function_id))
        wait_until(lambda: not deployment_zygotes(plane))


def test_nothing_is_left_of_deployment_zygotes_that_go() -> None:
    """Their spare forks go with them: processes, descriptors and control groups."""
    with running_data_plane() as plane:
        sleeper = Sleeper(plane)
        remove(plane, sleeper.deploy("before", preload=False))
        only_blanks(plane)
        before = resource_counts(plane)
        routes = []
        for _ in range(3):
            routes.append(sleeper.deploy("leaves-nothing"))
            sleeper.preloaded("leaves-nothing")
        remove(plane, routes[-1])
        try:
            wait_until(lambda: resource_counts(plane).is_within(before))
        except AssertionError:
            raise AssertionError(f"{before} → {resource_counts(plane)}") from None


def remove(plane: DataPlaneProcess, route: Route) -> None:
    plane.control.send_and_wait_for_ack(
        routing.RemoveFunction(version=plane.control.next_version(), function_id=route.function_id)
    )


def only_blanks(plane: DataPlaneProcess) -> None:
    """Wait until nothing else is there; groups: none, one or, in version 1, three of each."""
    wait_until(lambda: len(plane.instances()) == PREWARMED, what="nothing but blanks")
    wait_until(lambda: resource_counts(plane).cgroups in (0, PREWARMED, 3 * PREWARMED), what="no group but theirs")


def test_preloaded_modules_make_room_when_memory_is_short() -> None:
    with running_data_plane(memory_budget_mb=520) as plane:
        sleeper = Sleeper(plane)
        sleeper.deploy("first", memory=256)
        sleeper.preloaded("first")
        sleeper.fall_asleep()
        assert len(deployment_zygotes(plane)) == 1
        sleeper.deploy("second", memory=512, preload=False)
        wait_until(lambda: not deployment_zygotes(plane))
        assert sleeper.cold("first")["token"]


def deployment_zygotes(plane: DataPlaneProcess) -> list[int]:
    """Return the children of zygotes that have a zygote's process below them: an instance here has none."""
    return [pid for zygote in plane.zygotes() for pid in children(zygote) if children(pid)]


def test_the_zone_of_the_environment_is_the_clocks(sleeper: Sleeper) -> None:
    source = "import time\ndef handle(e, c):\n    return {'body': time.strftime('%H', time.localtime(0))}\n"
    sleeper.plane.deploy("zone", source, environment={"TZ": "Asia/Tokyo"})
    expected = b"09" if Path("/usr/share/zoneinfo/Asia/Tokyo").exists() else b"00"
    assert sleeper.plane.call("zone").body == expected


LIAR = """
import stat, struct
sockets = [number for number in range(3, 64) if os.path.exists(f'/proc/self/fd/{number}')
           and stat.S_ISSOCK(os.fstat(number).st_mode)]
really_fork = os.fork
def fork():
    for number in sockets:
        os.write(number, struct.pack('!4sIi', b'EXIT', VICTIM, 0))
    return really_fork()
os.fork = fork
"""


def test_a_package_that_speaks_for_its_zygote_ends_nobody_elses_instance(sleeper: Sleeper) -> None:
    bystander = sleeper.deploy("bystander", preload=False, min_scale=1)
    before = sleeper.plane.call("bystander").body
    (victim,) = {int(line.instance, 16) for line in sleeper.plane.log_lines(bystander) if line.stream == "stdout"}
    sleeper.deploy("liar", heavy=HEAVY + LIAR.replace("VICTIM", str(victim)))
    sleeper.preloaded("liar")
    after = sleeper.plane.call("bystander").body
    assert [json.loads(body)["token"] for body in (before, after)] == [json.loads(before)["token"]] * 2
