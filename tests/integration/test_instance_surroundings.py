"""What a handler finds around itself: its user, and no path of the machine that the platform runs on.

At each isolation level, for both sandboxes and for preloaded deployments.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import level_parameters
from tests.support.waiting import wait_until

USER = 54360
FUNCTION_USER = 70_400
AS_ROOT = os.geteuid() == 0
LEVELS = [(0, "cgroup")] if AS_ROOT else []
LEVELS += [(0, "namespaces"), *([(USER, "namespaces")] if AS_ROOT else []), (0, "landlock"), (0, "none")]
KINDS = ("v2", "v1", "preloaded")
HEAVY = (
    "import os, time\nuntil = time.process_time() + 0.06\nwhile time.process_time() < until: pass\n"
    "TOKEN = os.urandom(8).hex()\n"
)
ACCOUNTS = """
import getpass, grp, os, pwd, subprocess
import heavy

def attempt(action):
    try:
        return action()
    except (OSError, KeyError) as error:
        return type(error).__name__

def accounts():
    return {
        "getuser": getpass.getuser(),
        "name": attempt(lambda: pwd.getpwuid(os.getuid()).pw_name),
        "home": attempt(lambda: pwd.getpwuid(os.getuid()).pw_dir),
        "group": attempt(lambda: grp.getgrgid(os.getgid()).gr_name),
        "root": attempt(lambda: pwd.getpwnam("root").pw_uid),
        "tilde": os.path.expanduser("~"),
        "tilde name": os.path.expanduser("~app"),
        "id": subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip(),
        "id -g": subprocess.run(["id", "-gn"], capture_output=True, text=True).stdout.strip(),
        "variables": [os.environ["USER"], os.environ["LOGNAME"], os.environ["HOME"]],
    }

def handle(event, context):
    if event["path"] == "/end":
        os._exit(3)
    return {"body": heavy.TOKEN if event["path"] == "/token" else accounts()}
"""


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        yield running


def has_own_root(plane: DataPlaneProcess) -> bool:
    return plane.settings.isolation in ("cgroup", "namespaces")


def deploy(plane: DataPlaneProcess, name: str, kind: str, handler: str) -> None:
    """Deploy a function; a preloaded one is ready when its instances are forked from a zygote of its own."""
    if kind == "preloaded" and plane.settings.isolation == "landlock":
        pytest.skip("there are no deployment zygotes at landlock")
    uid = 0 if plane.owner else FUNCTION_USER + KINDS.index(kind)
    files = {"handler.py": handler, ("package/heavy.py" if kind == "preloaded" else "heavy.py"): HEAVY}
    plane.deploy(name, files, max_scale=1, memory=256, uid=uid, sandbox="v1" if kind == "v1" else "v2")
    if kind == "preloaded":
        wait_until(lambda: is_preloaded(plane, name), what=f"{name} preloaded")


def is_preloaded(plane: DataPlaneProcess, name: str) -> bool:
    """Return whether two instances were forked from the process that has imported the package."""
    tokens = set()
    for _ in range(2):
        assert plane.call(name, "/end").status == 502
        tokens.add(plane.call(name, "/token").body)
    return len(tokens) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_user_of_an_instance_has_a_name(plane: DataPlaneProcess, kind: str) -> None:
    deploy(plane, f"accounts-{kind}", kind, ACCOUNTS)
    found = plane.call(f"accounts-{kind}").json()
    assert isinstance(found, dict)
    if has_own_root(plane):
        assert found == {
            **dict.fromkeys(("getuser", "name", "group", "id", "id -g"), "app"),
            **dict.fromkeys(("home", "tilde", "tilde name"), "/home/app"),
            "root": 0,
            "variables": ["app", "app", "/home/app"],
        }
    else:
        name = pwd.getpwuid(os.geteuid()).pw_name
        assert (found["getuser"], found["variables"][:2]) == (name, [name, name])
        assert found["tilde"] == found["variables"][2]


@pytest.mark.parametrize("kind", KINDS)
def test_accounts_can_be_changed_like_other_files(plane: DataPlaneProcess, kind: str) -> None:
    if not has_own_root(plane):
        pytest.skip("the accounts are those of the machine")
    before = Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()
    source = (
        "import os, pwd\nimport heavy\ndef handle(event, context):\n"
        "    if event['path'] == '/end': os._exit(3)\n"
        "    if event['path'] == '/token': return heavy.TOKEN\n"
        "    with open('/etc/passwd', 'a') as file: file.write('worker:x:1234:1234::/opt:/bin/sh\\n')\n"
        "    os.rename('/etc/group', '/etc/group.old')\n"
        "    return {'body': [pwd.getpwnam('worker').pw_dir, len(pwd.getpwall())]}\n"
    )
    deploy(plane, f"changed-{kind}", kind, source)
    assert plane.call(f"changed-{kind}").json() == ["/opt", 4]
    assert plane.call(f"changed-{kind}", "/end").status == 502
    assert plane.call(f"changed-{kind}").json() == ["/opt", 4]  # and so is the next instance's
    assert (Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()) == before
