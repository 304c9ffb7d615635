"""A platform with a realistic project, in which commands are shown: the same in every run, except ids and times."""

from __future__ import annotations

import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

__all__ = ["RUNTIME", "SHOWN_ROOT", "ScreenWorld", "let_an_order_fail", "screen_world", "wait_for_signups"]

SHOWN_ROOT = "/home/ada/work/fnkit"
"""What is shown in place of the directory of everything, which has the same length."""

RUNTIME = f"python3{sys.version_info.minor}"
_ATTEMPTS = 4
_RETRY_SECONDS = 100
_MAIN = '''\
import json
import os

from fnkit import cron, function, trigger


@cron("NIGHTLY", name="nightly", args={"limit": 10})
@function(memory=256, secrets=["PEPPER"], domains=["books.example.com"])
def books(event, context):
    """Serve the catalogue."""
    print("listing", event["path"])
    return json.dumps({"books": 3, "salted": bool(os.environ["PEPPER"])})


@function(privacy="private")
def admin(event, context):
    """Show what only the owner may see."""
    return "only for you"


@trigger(nats="orders.created", name="orders")
@function(timeout="10s")
def on_order(event, context):
    """Handle an order, of which there is never enough."""
    return {"statusCode": 500, "body": "no stock for " + event["body"]}


@trigger(nats="signups", name="signups")
@function
def on_signup(event, context):
    """Welcome somebody."""
    return "ok"


@cron("HOURLY", name="hourly")
@function
def report_2(event, context):
    """Report."""
    return "ok"


@function
def report_10(event, context):
    """Report more."""
    return "ok"
'''
_CHANGED = (
    ("memory=256", "memory=512"),
    ('return "only for you"', 'return "for you alone"'),
    ("report_10", "summary"),
)
_INVALID = """\
from fnkit import cron, function


@cron("61 * * * *")
@function(memory=300)
def tidy(event, context):
    return "ok"


@function
async def fetch(event):
    return missing
"""


@dataclass(frozen=True, slots=True)
class ScreenWorld:
    """The platform and its projects.

    Attributes:
        root: The directory of everything.
        project: What is deployed.
        changed: The same project after changes to its code, which are not deployed.
        invalid: A project with problems.
        failing: A project whose function cannot import its module.
        literals: What differs between runs, with texts of the same length to show instead.
    """

    platform: PlatformUnderTest
    root: Path
    project: Path
    changed: Path
    invalid: Path
    failing: Path
    literals: dict[str, str]

    def folder(self, name: str) -> Path:
        """Return an empty directory."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


@contextmanager
def screen_world() -> Iterator[ScreenWorld]:
    """Start a platform on a stopped clock, deploy the project, and let its crons and triggers run."""
    root = _root()
    try:
        with running_platform(root / "platform", "--manual-clock", "--isolation", "none") as platform:
            yield _prepared(root, platform)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _root() -> Path:
    """Return a new directory whose path has the length of the one that is shown."""
    parent = Path(tempfile.gettempdir())
    missing = len(SHOWN_ROOT) - len(str(parent)) - 1
    if missing < 4:  # only on machines whose directory of temporary files has a long name
        parent, missing = Path("/tmp"), len(SHOWN_ROOT) - len("/tmp/")
    root = parent / secrets.token_hex(missing)[:missing]
    root.mkdir(mode=0o700)
    return root


def _prepared(root: Path, platform: PlatformUnderTest) -> ScreenWorld:
    now = datetime.now(UTC)
    # Never the same minute of the hour, but always as far away.
    nightly, hourly = now + timedelta(hours=15, minutes=30), now + timedelta(minutes=35)
    earlier = hourly - timedelta(minutes=15)
    schedules = {"NIGHTLY": f"{nightly:%M} {nightly:%H} * * *", "HOURLY": f"{hourly:%M} * * * *"}
    main = re.sub("NIGHTLY|HOURLY", lambda name: schedules[name[0]], _MAIN)
    changed = main.replace(schedules["HOURLY"], f"{earlier:%M} * * * *")
    for before, after in _CHANGED:
        assert before in changed, before
        changed = changed.replace(before, after)
    settings = f'name = "shop"\n[defaults]\nruntime = "{RUNTIME}"\n'
    secret = {".env": "PEPPER=salt\n"}
    world = ScreenWorld(
        platform,
        root,
        project=write_files(root / "shop", {"fnkit.toml": settings, "main.py": main, **secret}),
        changed=write_files(root / "next", {"fnkit.toml": settings, "main.py": changed, **secret}),
        invalid=write_files(root / "oops", {"fnkit.toml": 'name = "oops"\n', "main.py": _INVALID}),
        failing=write_files(
            root / "fail",
            {
                "fnkit.toml": f'name = "fail"\n[defaults]\nruntime = "{RUNTIME}"\n',
                "main.py": "from fnkit import function\n\n\nraise ValueError('LIMIT is not set')\n\n\n"
                "@function\ndef limited(event, context):\n    return 'ok'\n",
            },
        ),
        literals={
            str(root): SHOWN_ROOT,
            RUNTIME: "python313",
            schedules["NIGHTLY"]: "30 03 * * *",
            schedules["HOURLY"]: "45 * * * *",
            f"{earlier:%M} * * * *": "30 * * * *",
        },
    )
    _deploy(world)
    let_an_order_fail(world, world.project, "4711")
    _run_the_rest(world)
    return world


def _deploy(world: ScreenWorld) -> None:
    fnkit = world.platform.command
    deployed = fnkit("deploy", "--local", "--json", cwd=world.project).ok().json()
    domain = str(deployed["functions"][0]["domain"])
    world.literals[domain.partition("-")[0]] = "shopab1cd2ef"
    fnkit("cron", "run", "books/nightly", "--local", cwd=world.project).ok()


def let_an_order_fail(world: ScreenWorld, project: Path, order: str) -> None:
    """Send a message whose handler fails, until it is given up."""
    fnkit = world.platform.command

    def newest(key: str) -> object:
        found = fnkit("trigger", "deliveries", "on-order", "--json", "--local", cwd=project).ok().json()
        return found["deliveries"][0][key] if found["deliveries"] else None

    fnkit("trigger", "send", "on-order", order, "--local", cwd=project).ok()
    for attempt in range(1, _ATTEMPTS):
        wait_until(partial(_is, newest, "attempts", attempt))
        world.platform.advance(_RETRY_SECONDS)
    wait_until(lambda: newest("status") == "dead")


def _run_the_rest(world: ScreenWorld) -> None:
    """Run the second cron and the second trigger."""
    fnkit = world.platform.command
    fnkit("cron", "run", "report-2/hourly", "--local", cwd=world.project).ok()
    fnkit("trigger", "send", "on-signup", "grace", "--local", cwd=world.project).ok()
    wait_for_signups(world)


def _is(read: Callable[[str], object], key: str, value: object) -> bool:
    return read(key) == value


def wait_for_signups(world: ScreenWorld, _stage: str = "") -> None:
    """Wait until the messages of the second trigger are handled."""

    def statuses() -> set[str]:
        fnkit = world.platform.command
        found = fnkit("trigger", "deliveries", "on-signup", "--json", "--local", cwd=world.project).ok().json()
        return {str(one["status"]) for one in found["deliveries"]}

    wait_until(lambda: statuses() == {"succeeded"})
