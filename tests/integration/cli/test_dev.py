"""``fnkit dev`` with a real platform: reloads, what is shown, keys, and its end."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.supervisor.launcher import find_running_platform
from tests.support.command import Command
from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.ports import free_port
from tests.support.processes import descendants, is_alive
from tests.support.project_tree import write_files
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

SETTINGS = 'name = "shop"\n'
ORDERS = """
from fnkit import function

CALLS = []


@function
def orders(event, context):
    CALLS.append(event["path"])
    return f"orders 1, call {len(CALLS)}"
"""
STOCK = """
from fnkit import function
from lib.counting import count


@function
def stock(event, context):
    print("stock is asked for")
    return f"stock {count()}"
"""
COUNTING = """
NUMBER = 0


def count():
    global NUMBER
    NUMBER += 1
    return NUMBER
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "project",
        {
            "fnkit.toml": SETTINGS,
            "orders.py": ORDERS,
            "stock.py": STOCK,
            "lib/__init__.py": "",
            "lib/counting.py": COUNTING,
        },
    )


@pytest.fixture
def session(project: Path, tmp_path: Path) -> Iterator[DevSessionUnderTest]:
    with dev_session(project, tmp_path / "home") as running:
        running.wait_for("serving")
        yield running


def replace(file: Path, old: str, new: str) -> None:
    """Save a file with a change."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def advance_clock(data_dir: Path, seconds: float) -> None:
    """Advance the clock of a session's platform."""
    platform = find_running_platform(data_dir)
    assert platform is not None
    request = urllib.request.Request(
        f"{platform.api_url}/fnkit/v1/clock",
        data=json.dumps({"advance": seconds}).encode(),
        headers={"X-Auth-Token": platform.secret_key},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def test_save_replaces_the_functions_that_depend_on_the_file(session: DevSessionUnderTest, project: Path) -> None:
    assert session.get("orders") == (200, "orders 1, call 1")
    assert session.get("stock") == (200, "stock 1")

    replace(project / "orders.py", "orders 1", "orders 2")
    reloaded = session.wait_for("reloaded")
    assert reloaded["functions"] == [{"name": "orders", "action": "reloaded"}]
    assert session.get("orders") == (200, "orders 2, call 1")
    assert session.get("stock") == (200, "stock 2"), "its instance was not replaced"

    replace(project / "lib/counting.py", "NUMBER = 0", "NUMBER = 10")
    assert session.wait_for("reloaded")["functions"] == [{"name": "stock", "action": "reloaded"}]
    assert session.get("stock") == (200, "stock 11")
    assert session.get("orders") == (200, "orders 2, call 2")


def test_each_save_builds_on_the_ones_before(session: DevSessionUnderTest, project: Path) -> None:
    replace(project / "stock.py", "stock is asked for", "asked")
    session.wait_for("reloaded")
    (project / "lib/extra.py").write_text("WORD = 'extra'\n")
    replace(project / "stock.py", "from lib.counting", "from lib.extra import WORD\nfrom lib.counting")
    replace(project / "stock.py", 'f"stock {count()}"', 'f"{WORD} {count()}"')
    wait_until(lambda: session.get("stock")[1].startswith("extra"), what="the new module answers")

    replace(project / "lib/counting.py", "NUMBER = 0", "NUMBER = 5")
    wait_until(lambda: session.get("stock")[1] == "extra 6", what="the third change answers")

    replace(project / "stock.py", "from lib.extra import WORD\n", "WORD = 'inline'\n")
    (project / "lib/extra.py").unlink()
    wait_until(lambda: session.get("stock")[1].startswith("inline"), what="the module is gone")


def test_broken_file_is_reported_and_the_last_version_serves(session: DevSessionUnderTest, project: Path) -> None:
    good = (project / "orders.py").read_text()
    (project / "orders.py").write_text(good + "\ndef broken(:\n")
    [problem] = session.wait_for("rejected")["problems"]
    assert (problem["file"], problem["line"]) == ("orders.py", 12)
    assert session.get("orders") == (200, "orders 1, call 1")

    (project / "orders.py").write_text(good.replace("orders 1", "orders 2"))
    session.wait_for("reloaded")
    assert session.get("orders") == (200, "orders 2, call 1")


def test_failing_import_is_reported(session: DevSessionUnderTest, project: Path) -> None:
    replace(project / "orders.py", "CALLS = []", "CALLS = missing")
    [change] = session.wait_for("reloaded")["functions"]
    assert change["error"]["code"] == "import-failed"
    assert "name 'missing' is not defined" in change["error"]["message"]
    replace(project / "orders.py", "CALLS = missing", "CALLS = []")
    assert "error" not in session.wait_for("reloaded")["functions"][0]
    assert session.get("orders")[0] == 200


def test_functions_settings_and_crons_follow_the_code(session: DevSessionUnderTest, project: Path) -> None:
    (project / "report.py").write_text(
        "from fnkit import cron, function\n\n\n"
        '@cron("0 3 * * *", name="nightly")\n@function(memory=512)\n'
        'def report(event, context):\n    return "reported"\n'
    )
    created = session.wait_for("reloaded")
    assert [(one["name"], one["action"]) for one in created["functions"]] == [("report", "created")]
    session.wait_for("serving")
    assert session.get("report") == (200, "reported")
    assert session.get("orders") == (200, "orders 1, call 1")

    (project / "report.py").unlink()
    deleted = session.wait_for("reloaded")
    assert [(one["name"], one["action"]) for one in deleted["functions"]] == [("report", "deleted")]
    assert session.get("orders") == (200, "orders 1, call 2"), "it was not replaced"


def test_crons_fire(project: Path, tmp_path: Path) -> None:
    (project / "ticks.py").write_text(
        'from fnkit import cron, function\n\n\n@cron("* * * * *", args={"word": "tick"})\n@function\n'
        'def ticks(event, context):\n    print("body", event["body"])\n'
    )
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        [data_dir] = (tmp_path / "home/cache/dev").iterdir()
        advance_clock(data_dir, seconds=60)
        line = session.wait_for("log", lambda item: item["function"] == "ticks")
        assert line["message"] == 'body {"word":"tick"}'
        response = session.wait_for("response", lambda item: item["function"] == "ticks")
        assert (response["method"], response["status"]) == ("", 200)


def test_responses_output_and_tracebacks_are_shown(session: DevSessionUnderTest, project: Path) -> None:
    assert session.get("stock", "shelf")[0] == 200
    line = session.wait_for("log")
    assert (line["function"], line["message"]) == ("stock", "stock is asked for")
    response = session.wait_for("response")
    assert (response["function"], response["path"], response["status"]) == ("stock", "/shelf", 200)
    assert response["request_id"] == line["request_id"]

    replace(project / "lib/counting.py", "    NUMBER += 1", "    NUMBER += {}['none']")
    session.wait_for("reloaded")
    assert session.get("stock")[0] == 500
    traceback = session.wait_for("traceback")
    assert traceback["error"] == "KeyError: 'none'"
    assert [(one["file"], one["name"]) for one in traceback["frames"]] == [
        ("lib/counting.py", "count"),
        ("stock.py", "stock"),
    ]


def test_from_bundle_deploys_archives(project: Path, tmp_path: Path) -> None:
    with dev_session(project, tmp_path / "home", "--from-bundle") as session:
        session.wait_for("serving")
        replace(project / "orders.py", "orders 1", "orders 2")
        changes = session.wait_for("reloaded")["functions"]
        assert [(one["name"], one["action"]) for one in changes] == [("orders", "updated")]
        assert session.get("orders") == (200, "orders 2, call 1")


def test_project_that_is_broken_at_first_is_served_once_it_is_corrected(project: Path, tmp_path: Path) -> None:
    good = (project / "orders.py").read_text()
    (project / "orders.py").write_text(good + "\ndef broken(:\n")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("rejected")
        (project / "orders.py").write_text(good)
        session.wait_for("serving")
        assert session.get("orders") == (200, "orders 1, call 1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_everything_that_was_started(project: Path, tmp_path: Path, number: signal.Signals) -> None:
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        started = descendants(session.process.pid)
        assert started
        assert session.stop(number) == 130
    wait_until(lambda: not any(is_alive(pid) for pid in started), what="nothing is left")
    [data_dir] = (tmp_path / "home/cache/dev").iterdir()
    assert not (data_dir / "platform.db").exists()


def test_platform_ends_with_a_command_that_is_killed(project: Path, tmp_path: Path) -> None:
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        started = descendants(session.process.pid)
        session.process.kill()
        session.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in started), what="nothing is left")


def test_second_command_for_a_project_is_refused(
    session: DevSessionUnderTest, project: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    second = Command({"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache")})("dev", cwd=project)
    assert second.code == 1
    assert "already running" in second.stderr
    assert session.get("orders")[0] == 200


def test_ports_stay_the_same(project: Path, tmp_path: Path) -> None:
    """The port is one that no other platform chooses, as those of other tests would between the sessions."""
    port = free_port()
    for options in (("--port", str(port)), ()):
        with dev_session(project, tmp_path / "home", *options) as session:
            assert session.wait_for("serving")["url"] == f"http://127.0.0.1:{port}"


def test_lines_without_a_terminal_and_in_a_file(project: Path, tmp_path: Path) -> None:
    log_file = tmp_path / "dev.log"
    home = tmp_path / "home"
    environment = {"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache")}
    with terminal("dev", "--log-file", str(log_file), directory=project, variables=environment) as shown:
        shown.wait_for("[q] quit")
        replace(project / "orders.py", "orders 1", "orders 2")
        shown.wait_for("reloaded orders")
        shown.type("q")
        assert shown.wait() == 0
    text = log_file.read_text()
    assert "shop is served at http://127.0.0.1:" in text
    assert re.search(r"\d\d:\d\d:\d\d  reloaded orders in [\d.]+ m?s\n", text)
    assert "\x1b" not in text
    assert "[q] quit" not in text


def test_keys(project: Path, tmp_path: Path) -> None:
    (project / "report.py").write_text(
        'from fnkit import cron, function\n\n\n@cron("0 3 * * *", name="nightly")\n@function\n'
        'def report(event, context):\n    print("report of", event["body"])\n'
    )
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    home = tmp_path / "home"
    environment = {"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache"), "BROWSER": str(browser)}
    with terminal("dev", directory=project, variables=environment) as shown:
        shown.wait_for("[q] quit")
        shown.type("c")
        shown.wait_for("report of {}")
        shown.type("o")
        shown.wait_for("open: [1] orders")
        shown.type("1")
        wait_until(opened.exists, what="the browser was started")
        shown.type("e")
        shown.wait_for("send to: [1] orders")
        shown.type("1")
        shown.wait_for("body of a POST")
        shown.type("hello\n")
        shown.wait_for("orders 1, call 1")
        shown.type("l")
        shown.wait_for("\x1b[2J")
        shown.type("r")
        shown.wait_for("Restarting.")
        shown.wait_for("[q] quit")
        shown.type("\x03")
        assert shown.wait() == 130


def test_node_function_is_reloaded(tmp_path: Path) -> None:
    project = write_files(
        tmp_path / "project",
        {
            "fnkit.toml": 'name = "nodes"\n\n[[function]]\nname = "greet"\nruntime = "node24"\n'
            'handler = "handler.handle"\npath = "greet"\n',
            "greet/handler.js": 'module.exports.handle = () => ({ statusCode: 200, body: "node 1" });\n',
        },
    )
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        assert session.get("greet") == (200, "node 1")
        replace(project / "greet/handler.js", "node 1", "node 2")
        session.wait_for("reloaded", lambda item: item["functions"] == [{"name": "greet", "action": "reloaded"}])
        assert session.get("greet") == (200, "node 2")
