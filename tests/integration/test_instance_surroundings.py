"""What a handler finds around itself: its user, and no path of the machine that the platform runs on.

At each isolation level, for both sandboxes and for preloaded deployments.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fnkit
from fnkit.platform.data_plane.workers.program import local_program
from fnkit.platform.model.routing import Route
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

SEARCH = """
import faulthandler, io, json, logging, os, sys, tempfile, traceback, types
import heavy

def walk(value, path, depth, needles, seen, found):
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        if any(needle in value for needle in needles):
            found[path] = value
        return
    if depth == 0 or id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, dict):
        for key, entry in list(value.items()):
            walk(key, path, depth - 1, needles, seen, found)
            walk(entry, "%s %.40s" % (path, key), depth - 1, needles, seen, found)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for entry in value:
            walk(entry, path, depth - 1, needles, seen, found)
    elif isinstance(value, types.CodeType):
        walk([value.co_filename, value.co_consts], path, depth, needles, seen, found)
    elif hasattr(value, "__dict__"):
        walk(dict(vars(value)), path, depth, needles, seen, found)
    if isinstance(value, types.FunctionType):
        walk(value.__code__, path, depth, needles, seen, found)

def read(path):
    with open(path) as file:
        return file.read()

def dumps():
    log, stack = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logger = logging.Logger("surroundings")
    logger.addHandler(handler)
    traceback.print_stack(file=stack)
    try:
        raise ValueError("x")
    except ValueError:
        logger.exception("failed", stack_info=True)
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return [log.getvalue(), stack.getvalue(), file.read().decode()]

def surroundings():
    directory = "/proc/self/fd/"
    return {
        "dumps": dumps(), "modules": dict(sys.modules), "environ": dict(os.environ), "cwd": os.getcwd(),
        "sys": {name: value for name, value in vars(sys).items() if name != "modules"},
        "files": {name: read("/proc/self/" + name) for name in ("cmdline", "environ", "comm", "cgroup", "maps")},
        "links": [os.readlink(directory + name) for name in os.listdir(directory)
                  if os.path.lexists(directory + name)],
    }

def search(needles):
    found = {}
    walk(surroundings(), "", 8, needles, {}, found)
    frame = sys._getframe(2)
    while frame is not None:
        walk(frame.f_locals, frame.f_code.co_name, 6, needles, {}, found)
        frame = frame.f_back
    return found

def handle(event, context):
    if event["path"] == "/end":
        os._exit(3)
    if event["path"] == "/token":
        return heavy.TOKEN
    needles = [bytes.fromhex(text).decode() for text in json.loads(event["body"])]
    main = sys.modules["__main__"]
    return {"body": {
        "found": search(needles), "argv": sys.argv, "main": getattr(main, "__file__", None), "name": main.__name__,
        "worker": [name for name in sys.modules if "fnkit" in name], "dumps": dumps(),
        "arguments": read("/proc/self/cmdline").split("\\0")[1:],
    }}
"""


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        yield running


def has_own_root(plane: DataPlaneProcess) -> bool:
    return plane.settings.isolation in ("cgroup", "namespaces")


def deploy(plane: DataPlaneProcess, name: str, kind: str, handler: str) -> Route:
    """Deploy a function; a preloaded one is ready when its instances are forked from a zygote of its own."""
    if kind == "preloaded" and plane.settings.isolation == "landlock":
        pytest.skip("there are no deployment zygotes at landlock")
    uid = 0 if plane.owner else FUNCTION_USER + KINDS.index(kind)
    files = {"handler.py": handler, ("package/heavy.py" if kind == "preloaded" else "heavy.py"): HEAVY}
    sandbox = "v1" if kind == "v1" else "v2"
    route = plane.deploy(name, files, max_scale=1, memory=256, uid=uid, sandbox=sandbox)
    if kind == "preloaded":
        wait_until(lambda: is_preloaded(plane, name), what=f"{name} preloaded")
    return route


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


@pytest.mark.parametrize("kind", KINDS)
def test_no_path_of_the_platform_is_found(plane: DataPlaneProcess, kind: str) -> None:
    route = deploy(plane, f"search-{kind}", kind, SEARCH)
    hidden = [Path(fnkit.__file__).parents[1], Path(pytest.__file__).parents[1], plane.folder]
    body = json.dumps([str(path).encode().hex() for path in hidden]).encode()
    reply = plane.call(f"search-{kind}", method="POST", body=body)
    found = reply.json()
    assert isinstance(found, dict), reply.body
    if has_own_root(plane):
        assert found["found"] == {}
        assert found["main"] == "/home/app/index.py"
    else:  # the code and the working directory have no other path
        allowed = re.escape(local_program(route).code_dir), rf"{re.escape(str(plane.folder))}/[\w-]+/home-\w+"
        rest = {place: re.sub("|".join(allowed), "", text) for place, text in found["found"].items()}
        assert not {place: text for place, text in rest.items() if any(str(path) in text for path in hidden)}
        assert found["main"] is None
    assert (found["argv"], found["name"], found["worker"]) == (["/home/app/index.py"], "__main__", [])
    assert found["arguments"][:3] == ["-I", "-S", "-"]
    assert all("handler.py" in dump for dump in found["dumps"])
    files = set(re.findall(r'File "(.+?)"', "".join(found["dumps"]))) - {f"{root_of(plane, route)}/handler.py"}
    assert all(file == "<stdin>" or file.startswith("/usr/local/lib/fnkit/worker/") for file in files), files


def root_of(plane: DataPlaneProcess, route: Route) -> str:
    return "/home/app/function" if has_own_root(plane) else local_program(route).code_dir
