"""Deployment zygotes: third-party modules are imported once per deployment and shared by its instances.

The packages are small test packages. Each uses some CPU time to import, as real ones do, and stores a random token:
two instances with the same token were forked from the process that imported the package.
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
from tests.support.isolation_levels import user_parameters
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
class ColdStarter:
    """A data plane whose clock a test advances, so that every call is a cold start."""

    plane: DataPlaneProcess
    now: float = field(default_factory=time.time)

    def scale_to_zero(self) -> None:
        self.now += 1000
        clock = ClockState(platform_time=self.now, real_time=time.time(), speed=0.0)
        self.plane.control.send_and_wait_for_ack(
            routing.ClockChanged(version=self.plane.control.next_version(), clock=clock)
        )

    def cold_call(self, name: str, path: str = "/") -> dict[str, Any]:
        self.scale_to_zero()
        reply = self.plane.call(name, path)
        assert reply.status == 200, reply.body
        answer = reply.json()
        assert isinstance(answer, dict)
        return answer

    def deploy(self, name: str, heavy: str = HEAVY, **changes: object) -> Route:
        return self.plane.deploy(name, {"handler.py": HANDLER, "package/heavy.py": heavy}, **changes)

    def wait_until_preloaded(self, name: str) -> str:
        """Return the token once two cold starts show the same one."""

        def shared() -> str:
            first, second = self.cold_call(name)["token"], self.cold_call(name)["token"]
            return str(first) if first == second else ""

        return wait_until(shared, what=f"{name} preloaded")

    def preload_log(self, route: Route) -> list[str]:
        lines = [line.message for line in self.plane.log_lines(route) if line.stream == "system"]
        return [line for line in lines if line.startswith("preload:")]


@pytest.fixture(scope="module", params=user_parameters(USER))
def starter_at_level(request: pytest.FixtureRequest) -> Iterator[ColdStarter]:
    user, isolation = request.param
    with running_data_plane(user=user, isolation=isolation) as plane:
        yield ColdStarter(plane)


@pytest.fixture(scope="module")
def cold_starter() -> Iterator[ColdStarter]:
    with running_data_plane() as plane:
        yield ColdStarter(plane)


def test_instances_share_imports_but_no_other_state(starter_at_level: ColdStarter) -> None:
    environment = {"LEVEL": "debug", "KEY": "hidden"}
    starter_at_level.deploy("shared", environment=environment, secret_names=("KEY",))
    token = starter_at_level.wait_until_preloaded("shared")
    first, second = starter_at_level.cold_call("shared"), starter_at_level.cold_call("shared")
    assert first["token"] == second["token"] == token
    assert first["random"] != second["random"]
    assert first["files"] == second["files"] == (["function", "index.py"] if "function" in first["files"] else [])
    for answer in (first, second):
        assert answer["environment"].items() >= environment.items()
        assert answer["descriptors"] == ["/dev/null", "pipe", "pipe", "socket"]


def test_preloaded_instance_has_the_same_sandbox(starter_at_level: ColdStarter) -> None:
    starter_at_level.deploy("sandboxed", preload=False)
    fresh = starter_at_level.cold_call("sandboxed", "/attempts")
    starter_at_level.deploy("sandboxed")
    token = starter_at_level.wait_until_preloaded("sandboxed")
    forked = starter_at_level.cold_call("sandboxed", "/attempts")
    assert forked["token"] == token != fresh["token"]
    if starter_at_level.plane.settings.isolation == "none":
        return
    assert forked["status"] == fresh["status"]
    assert forked["status"]["CapEff"] == "0" * 16
    assert forked["status"]["NSpid"].split()[-1] == "1"
    assert forked["attempts"] == fresh["attempts"] == [[-1, 1]] * 3


@pytest.mark.parametrize(
    ("extra", "reason"),
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
def test_unsafe_import_is_excluded_from_preload_and_logged_once(
    cold_starter: ColdStarter, extra: str, reason: str, request: pytest.FixtureRequest
) -> None:
    name = f"out-{request.node.callspec.id}"
    files = {"handler.py": HANDLER, "package/heavy.py": HEAVY + extra, "own.py": "VALUE = 'hidden'\n"}
    route = cold_starter.plane.deploy(name, files, environment={"KEY": "hidden"}, secret_names=("KEY",))
    wait_until(lambda: cold_starter.preload_log(route), what="a preload log line")
    first, second = cold_starter.cold_call(name), cold_starter.cold_call(name)
    assert first["token"] != second["token"]
    assert second["value"] == (None if "VALUE" not in extra else "hidden")
    assert cold_starter.preload_log(route) == [f"preload: excluded heavy: {reason}"]


def test_other_modules_are_preloaded_when_one_is_excluded(cold_starter: ColdStarter) -> None:
    files = {
        "handler.py": "import threaded\ntry:\n    import broken\nexcept ValueError:\n    pass\n" + HANDLER,
        "package/broken.py": "raise ValueError\n",
        "package/heavy.py": HEAVY,
        "package/threaded/__init__.py": "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n",
    }
    route = cold_starter.plane.deploy("rest", files)
    cold_starter.wait_until_preloaded("rest")
    assert cold_starter.preload_log(route) == [
        "preload: excluded threaded: starts threads",
        "preload: excluded broken: could not be imported (ValueError)",
    ]


def test_import_side_effects_are_restored_in_each_instance(cold_starter: ColdStarter) -> None:
    extra = (
        "os.environ['HEAVY_HOME'] = '/tmp/heavy'\nos.makedirs('/tmp/heavy/cache', exist_ok=True)\n"
        "open('/tmp/heavy/cache/index', 'w').write('created at import')\n"
        "class Late:\n    def __repr__(self):\n        return open('/tmp/heavy/cache/index').read()\n"
        "LATE = Late()\n"
    )
    handler = HANDLER.replace('getattr(heavy, "VALUE", None)', "repr(heavy.LATE)")
    cold_starter.plane.deploy("traces", {"handler.py": handler, "package/heavy.py": HEAVY + extra})
    before = cold_starter.cold_call("traces")
    cold_starter.wait_until_preloaded("traces")
    after = cold_starter.cold_call("traces")
    assert after["environment"] == before["environment"]
    assert after["environment"]["HEAVY_HOME"] == "/tmp/heavy"
    assert after["value"] == before["value"] == "created at import"
    assert after["files"] == before["files"]


def test_only_unconditional_imports_are_preloaded(cold_starter: ColdStarter) -> None:
    """Imports of the function's own modules are followed; imports in functions or behind conditions are not."""
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
    cold_starter.plane.deploy("chosen", files)
    cold_starter.wait_until_preloaded("chosen")
    assert cold_starter.cold_call("chosen")["files"] == ["big", "big.part", "deep", "function", "index.py"]


def test_preload_false_disables_preloading(cold_starter: ColdStarter) -> None:
    route = cold_starter.deploy("unwanted", preload=False)
    tokens = {cold_starter.cold_call("unwanted")["token"] for _ in range(4)}
    assert len(tokens) == 4
    assert cold_starter.preload_log(route) == []


def test_function_without_packages_is_not_preloaded(cold_starter: ColdStarter) -> None:
    cold_starter.plane.deploy("plain", {"handler.py": HANDLER, "heavy.py": HEAVY})
    assert len({cold_starter.cold_call("plain")["token"] for _ in range(4)}) == 4


@pytest.mark.long
def test_requests_succeed_while_killed_zygote_is_replaced(cold_starter: ColdStarter) -> None:
    cold_starter.deploy("killed")
    token = cold_starter.wait_until_preloaded("killed")
    cold_starter.scale_to_zero()
    victims = deployment_zygotes(cold_starter.plane)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in victims))
    assert cold_starter.cold_call("killed")["token"] != token
    assert cold_starter.wait_until_preloaded("killed") != token


def test_update_imports_again_and_ends_old_zygote(cold_starter: ColdStarter) -> None:
    cold_starter.deploy("updated")
    token = cold_starter.wait_until_preloaded("updated")
    old = set(deployment_zygotes(cold_starter.plane))
    cold_starter.deploy("updated")
    assert cold_starter.cold_call("updated")["token"] != token
    assert cold_starter.wait_until_preloaded("updated") != token
    wait_until(lambda: len(old & set(deployment_zygotes(cold_starter.plane))) < len(old))


def test_deleting_function_ends_its_zygote() -> None:
    with running_data_plane() as plane:
        cold_starter = ColdStarter(plane)
        route = cold_starter.deploy("deleted")
        cold_starter.wait_until_preloaded("deleted")
        assert len(deployment_zygotes(plane)) == 1
        version = plane.control.next_version()
        plane.control.send_and_wait_for_ack(routing.RemoveFunction(version=version, function_id=route.function_id))
        wait_until(lambda: not deployment_zygotes(plane))


@pytest.mark.long
def test_ended_deployment_zygotes_leave_no_resources() -> None:
    """Includes their spare forks: processes, descriptors and control groups."""
    with running_data_plane() as plane:
        cold_starter = ColdStarter(plane)
        remove(plane, cold_starter.deploy("before", preload=False))
        wait_for_prewarmed_only(plane)
        before = resource_counts(plane)
        routes = []
        for _ in range(3):
            routes.append(cold_starter.deploy("replaced"))
            cold_starter.wait_until_preloaded("replaced")
        remove(plane, routes[-1])
        try:
            wait_until(lambda: resource_counts(plane).is_within(before))
        except AssertionError:
            raise AssertionError(f"{before} → {resource_counts(plane)}") from None


def remove(plane: DataPlaneProcess, route: Route) -> None:
    plane.control.send_and_wait_for_ack(
        routing.RemoveFunction(version=plane.control.next_version(), function_id=route.function_id)
    )


def wait_for_prewarmed_only(plane: DataPlaneProcess) -> None:
    """Wait until only pre-warmed workers are left. Each has no control group, one or, in version 1, three."""
    wait_until(lambda: len(plane.instances()) == PREWARMED, what="only pre-warmed workers")
    wait_until(
        lambda: resource_counts(plane).cgroups in (0, PREWARMED, 3 * PREWARMED),
        what="only control groups of pre-warmed workers",
    )


@pytest.mark.long
def test_deployment_zygote_is_evicted_when_memory_is_short() -> None:
    with running_data_plane(memory_budget_mb=520) as plane:
        cold_starter = ColdStarter(plane)
        cold_starter.deploy("first", memory=256)
        cold_starter.wait_until_preloaded("first")
        cold_starter.scale_to_zero()
        assert len(deployment_zygotes(plane)) == 1
        cold_starter.deploy("second", memory=512, preload=False)
        wait_until(lambda: not deployment_zygotes(plane))
        assert cold_starter.cold_call("first")["token"]


def deployment_zygotes(plane: DataPlaneProcess) -> list[int]:
    """Return the children of zygotes that have children themselves; instances in these tests have none."""
    return [pid for zygote in plane.zygotes() for pid in children(zygote) if children(pid)]


def test_tz_variable_sets_the_time_zone(cold_starter: ColdStarter) -> None:
    source = "import time\ndef handle(e, c):\n    return {'body': time.strftime('%H', time.localtime(0))}\n"
    cold_starter.plane.deploy("zone", source, environment={"TZ": "Asia/Tokyo"})
    expected = b"09" if Path("/usr/share/zoneinfo/Asia/Tokyo").exists() else b"00"
    assert cold_starter.plane.call("zone").body == expected


FORGER = """
import stat, struct
sockets = [number for number in range(3, 64) if os.path.exists(f'/proc/self/fd/{number}')
           and stat.S_ISSOCK(os.fstat(number).st_mode)]
original_fork = os.fork
def fork():
    for number in sockets:
        os.write(number, struct.pack('!4sIi', b'EXIT', VICTIM, 0))
    return original_fork()
os.fork = fork
"""


def test_forged_zygote_message_does_not_end_other_instance(cold_starter: ColdStarter) -> None:
    bystander = cold_starter.deploy("bystander", preload=False, min_scale=1)
    before = cold_starter.plane.call("bystander").body
    (victim,) = {
        int(line.instance, 16) for line in cold_starter.plane.log_lines(bystander) if line.stream == "stdout"
    }
    cold_starter.deploy("forger", heavy=HEAVY + FORGER.replace("VICTIM", str(victim)))
    cold_starter.wait_until_preloaded("forger")
    after = cold_starter.plane.call("bystander").body
    assert [json.loads(body)["token"] for body in (before, after)] == [json.loads(before)["token"]] * 2
