"""Takes three applications through a day: new, dev, test, deploy, call, logs, break, fix, destroy.

``python -m tests.e2e.daily_loop [shelf|probe|pipeline]`` prints the commands with their durations and results.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import Command, Completed
from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.waiting import wait_until

_SOURCES = Path(__file__).parent.parent / "projects" / "daily_loop"
_CLOCK_SPEED = "60"  # retries that wait half a minute take half a second
_DEADLINE = 60.0

Show = Callable[[str], None]


class Day:
    """An application, and what a developer does with it.

    Args:
        folder: An empty directory for the project, and for the data of its platform.
        name: The application.
        show: Called with each line of the transcript.
    """

    def __init__(self, folder: Path, name: str, show: Show) -> None:
        self.name = name
        self.project = folder / name
        self.home = folder / "home"
        self._show = show
        self._command = Command({"FNKIT_HOME": str(self.home), "FNKIT_CACHE": str(folder / "cache")})

    def fnkit(self, *arguments: str, code: int = 0, stdin: str = "") -> Completed:
        """Run a command in the project; fail if it ends with another exit code, or with an error of fnkit's own."""
        started = time.monotonic()
        directory = self.project if self.project.is_dir() else self.project.parent
        done = self._command(*arguments, cwd=directory, stdin=stdin)
        self._show(f"$ fnkit {' '.join(arguments)}  ({time.monotonic() - started:.1f} s, exit code {done.code})")
        for line in (done.stderr + done.stdout).splitlines()[:12]:
            self._show(f"  {line}")
        assert done.code == code, f"{arguments} → {done.code}\n{done.stdout}\n{done.stderr}"
        assert "internal-error" not in done.stdout + done.stderr
        return done

    def new(self, template: str, *requirements: str) -> None:
        """Create the project from a template, with the code of the application in place of the template's."""
        self.fnkit("new", self.name, "--template", template)
        for left in (*self.project.glob("*.py"), *self.project.glob("*/"), self.project / ".env"):
            if left.is_dir() and not left.name.startswith("."):
                shutil.rmtree(left)
            elif left.is_file():
                left.unlink()
        shutil.copytree(_SOURCES / self.name, self.project, dirs_exist_ok=True)
        if requirements:
            self.edit("pyproject.toml", "\ndependencies = []", f"\ndependencies = {json.dumps(requirements)}")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file of the project."""
        path = self.project / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new))
        self._show(f"  {file}: {old.strip()!r} becomes {new.strip()!r}")

    def start_platform(self) -> None:
        """Start the local platform with a fast clock."""
        self.fnkit("platform", "start", "--detach", "--gateway-port", "0", "--clock-speed", _CLOCK_SPEED)

    @contextmanager
    def dev(self) -> Iterator[DevSessionUnderTest]:
        """Serve the project while the block runs."""
        self._show("$ fnkit dev")
        with dev_session(self.project, self.home, cache=self.home.parent / "cache") as session:
            session.wait_for("serving")
            yield session
            assert session.stop() in {0, 130, 143}

    def deploy(self, *options: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """Deploy, and return the functions by name."""
        document = self.fnkit("deploy", "--local", "--json", *options, code=code).json()
        return {one["name"]: one for one in document["functions"]}

    def logs(self, *arguments: str) -> str:
        """Return what functions printed."""
        return self.fnkit("logs", "--local", *arguments).stdout

    def wait_for_log(self, text: str, *arguments: str) -> None:
        """Wait until a function has printed a text."""
        command = ("logs", "--local", *arguments)
        wait_until(
            lambda: text in self._command(*command, cwd=self.project).stdout, _DEADLINE, what=f"the line {text!r}"
        )
        self._show(f"$ fnkit {' '.join(command)}  … {text}")

    def deliveries(self, kind: str, name: str, *options: str) -> list[dict[str, Any]]:
        """Return the deliveries of a cron or a trigger, newest first."""
        verb = ("cron", "history") if kind == "cron" else ("trigger", "deliveries")
        found: list[dict[str, Any]] = self._command(
            *verb, name, "--local", "--json", *options, cwd=self.project
        ).json()["deliveries"]
        return found

    def end(self) -> None:
        """Destroy what is deployed, and stop the platform."""
        self.fnkit("destroy", "--local", code=2)  # no terminal, and no --yes: nothing is deleted
        self.fnkit("destroy", "--local", "--yes")
        assert {one["status"] for one in self.fnkit("status", "--local", "--json").json()["functions"]} == {
            "missing"
        }
        self.fnkit("platform", "stop")


def call(url: str, *, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Send a request, and return status and body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=_DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def shelf(folder: Path, show: Show) -> None:
    """An application with routes, a model, a database, a secret and a private function."""
    day = Day(folder, "shelf", show)
    day.new("api", "pydantic>=2")
    day.fnkit("secret", "set", "ADMIN_PEPPER", stdin="salt")
    with day.dev() as session:
        assert session.get("books") == (200, "[]")
        assert session.get("add")[0] == 422
        day.edit("main.py", '"not found"', '"no such page"')
        session.wait_for("reloaded")
        assert session.get("books", "x") == (404, '{"error": "no such page"}')
    assert "4 passed" in day.fnkit("test").stdout

    functions = day.deploy()
    urls = {name: str(one["url"]) for name, one in functions.items()}
    assert call(urls["add"], body={"title": "Dune", "pages": 412})[0] == 201
    assert call(urls["add"], body={"title": "Dune"})[0] == 422
    assert call(urls["admin"])[0] == 403
    assert '"python"' in day.fnkit("invoke", "admin", "--remote", "--local", "--path", "/?key=salt").stdout
    day.wait_for_log("added 'Dune' as 1", "add")

    day.edit("main.py", "    print(f\"{event['httpMethod']}", "    print(f\"{event['httpMethod']")
    assert "syntax" in day.fnkit("deploy", "--local", code=2).stderr
    day.edit("main.py", "    print(f\"{event['httpMethod']", "    print(f\"{event['httpMethod']}")
    day.edit(
        "main.py",
        '    return answer(200, {"python"',
        "    raise RuntimeError('no shelf')\n    return answer(200, {\"python\"",
    )
    day.deploy()
    failed = day.fnkit("invoke", "admin", "--remote", "--local", "--path", "/?key=salt", code=1)
    assert "RuntimeError: no shelf" in failed.stderr
    assert "fnkit logs admin" in failed.stderr
    assert "RuntimeError: no shelf" in day.logs("admin", "--level", "error")
    day.edit("main.py", "    raise RuntimeError('no shelf')\n", "")
    day.deploy()
    day.fnkit("invoke", "admin", "--remote", "--local", "--path", "/?key=salt")

    day.edit(
        "main.py", "@function(memory=128, max_scale=1)\ndef add(", "@function(memory=256, max_scale=1)\ndef store("
    )
    plan = day.fnkit("plan", "--local").stdout
    assert "+ function store" in plan
    assert "- function add" in plan
    assert "add" in day.fnkit("deploy", "--local", code=2).stderr  # a deletion needs a yes
    functions = day.deploy("--yes")
    assert call(str(functions["store"]["url"]), body={"title": "Emma", "pages": 474})[0] == 201
    day.deploy("--stage", "preview")
    assert "shelf-preview" in day.fnkit("status", "--local", "--stage", "preview").stdout
    day.fnkit("destroy", "--local", "--stage", "preview", "--yes")
    assert "ready" in day.fnkit("status", "--local").stdout
    day.end()


def probe(folder: Path, show: Show) -> None:
    """An application whose cron watches another one of its functions."""
    day = Day(folder, "probe", show)
    day.new("cron")
    with day.dev() as session:
        assert session.get("health") == (200, "healthy")
        assert [session.get("flaky")[0] for _ in range(3)] == [503, 503, 200]
        day.edit("main.py", '"healthy"', '"well"')
        session.wait_for("reloaded")
        assert session.get("health") == (200, "well")
    assert "2 passed" in day.fnkit("test").stdout

    day.start_platform()
    functions = day.deploy()
    targets = {"flaky": functions["flaky"]["url"], "health": functions["health"]["url"]}
    day.edit("main.py", '"targets": {}', f'"targets": {json.dumps(targets)}')
    day.deploy()
    ran = day.fnkit("cron", "run", "every-minute", "--local")
    assert "checked 2 targets" in ran.stderr
    wait_until(lambda: bool(day.deliveries("cron", "every-minute")), _DEADLINE, what="a scheduled run")
    wait_until(
        lambda: any(one["cause"] != "fire" for one in day.deliveries("cron", "every-minute")),
        _DEADLINE,
        what="a run of the schedule",
    )
    assert "every-minute" in day.fnkit("cron", "list", "--local").stdout
    day.fnkit("cron", "history", "every-minute", "--local")

    day.edit("main.py", "    seen = load()", '    seen = load()["targets"]')
    day.deploy()
    failed = day.fnkit("cron", "run", "every-minute", "--local", code=1)
    assert "KeyError: 'targets'" in failed.stderr
    assert day.deliveries("cron", "every-minute", "--failed")
    day.edit("main.py", 'seen = load()["targets"]', "seen = load()")
    day.edit("main.py", '@cron("* * * * *"', '@cron("61 * * * *"')
    assert "bad-schedule" in day.fnkit("scan", code=2).stdout
    day.edit("main.py", '@cron("61 * * * *"', '@cron("*/30 * * * *"')
    assert "*/30" in day.fnkit("plan", "--local").stdout
    day.deploy("--yes")
    day.fnkit("cron", "run", "every-minute", "--local")

    day.edit(
        "main.py", '@cron("*/30 * * * *", name="every-minute", args={"targets": ' + json.dumps(targets) + "})\n", ""
    )
    day.fnkit("deploy", "--local", code=2)
    day.deploy("--yes")
    assert "There are no crons" in day.fnkit("cron", "list", "--local").stdout
    day.end()


def pipeline(folder: Path, show: Show) -> None:
    """An application of three functions that messages connect."""
    day = Day(folder, "pipeline", show)
    day.new("queue", "nats-py>=2.10", "boto3>=1.35")
    day.start_platform()
    assert "3 passed" in day.fnkit("test").stdout
    url = str(day.deploy()["order"]["url"])
    for item, amount in (("tea", 2), ("milk", 1), ("honey", 3)):
        assert call(url, body={"item": item, "amount": amount})[0] == 202
    day.wait_for_log("shipped 3 honey for 27", "ship")

    assert call(url, body={"item": "sand", "amount": 1})[0] == 202  # it has no price: four attempts, then dead
    wait_until(lambda: _statuses(day, "orders", "--failed") == ["dead"], _DEADLINE, what="the dead message")
    assert "KeyError: 'sand'" in day.logs("price", "--level", "error")
    assert "dead" in day.fnkit("trigger", "deliveries", "orders", "--local", "--failed").stdout
    day.edit("main.py", 'PRICES = {"tea": 4', 'PRICES = {"sand": 1, "tea": 4')
    day.deploy()
    day.fnkit("trigger", "deliveries", "orders", "--local", "--replay-failed")
    day.wait_for_log("shipped 1 sand for 1", "ship")
    day.fnkit("trigger", "send", "priced", json.dumps({"item": "gift", "amount": 1, "total": 0}), "--local")
    day.wait_for_log("shipped 1 gift for 0", "ship")
    day.end()


def _statuses(day: Day, trigger: str, *options: str) -> list[str]:
    return [str(one["status"]) for one in day.deliveries("trigger", trigger, *options)]


APPLICATIONS: dict[str, Callable[[Path, Show], None]] = {"shelf": shelf, "probe": probe, "pipeline": pipeline}


def main(names: Sequence[str]) -> None:
    """Take applications through a day, all of them by default."""
    for name in names or tuple(APPLICATIONS):
        with tempfile.TemporaryDirectory(prefix="fnkit-day-") as folder:
            APPLICATIONS[name](Path(folder), _print)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
