"""``fnkit dev`` with handlers and files that misbehave: it goes on, and ends when it is told to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.project_tree import write_files
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

HANDLER = """
import os
import time

from fnkit import function


@function(timeout=10)
def orders(event, context):
    BODY
"""


def handler(*lines: str) -> str:
    """Return a module whose handler has these lines."""
    return HANDLER.replace("BODY", "\n    ".join(lines))


def write_project(folder: Path, *lines: str, name: str = "shop") -> Path:
    return write_files(folder, {"fnkit.toml": f'name = "{name}"\n', "main.py": handler(*lines)})


def reloaded(session: DevSessionUnderTest) -> None:
    """Wait until a change of the function is served."""
    session.wait_for("reloaded", lambda item: any(one["action"] == "reloaded" for one in item["functions"]))


class Call(threading.Thread):
    """A request whose response may never come."""

    def __init__(self, session: DevSessionUnderTest) -> None:
        super().__init__(daemon=True)
        self._session = session
        self.answer = (0, "")
        self.start()

    def run(self) -> None:
        self.answer = self._session.get("orders")


def test_handler_that_never_returns_is_replaced(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "print('begins')", "while True:", "    time.sleep(1)")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        call = Call(session)
        session.wait_for("log", lambda item: item["message"] == "begins")
        (project / "main.py").write_text(handler("return 'returns'"))
        reloaded(session)
        assert session.get("orders") == (200, "returns")
        call.join(timeout=60)
        assert call.answer[0] == 504
        assert session.stop() == 130


def test_handler_that_prints_without_end_stops_nothing(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "while True:", "    print('x' * 200)")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        call = Call(session)
        session.wait_for("log", lambda item: item["message"] == "x" * 200)
        (project / "main.py").write_text(handler("return 'silent'"))
        wait_until(lambda: session.get("orders") == (200, "silent"), what="the change is served")
        call.join(timeout=60)
        assert call.answer[0] == 504
        reloaded(session)
        assert session.stop() == 130


def test_handler_that_deletes_its_own_file_is_reloaded(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "os.unlink(__file__)", "return str(os.path.exists(__file__))")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        assert session.get("orders") == (200, "False")
        assert (project / "main.py").exists(), "it has a copy"
        for number in range(2):
            lines = ("os.unlink(__file__)", f"return 'deleted {number}'")
            (project / "main.py").write_text(handler(*lines))
            reloaded(session)
            assert session.get("orders") == (200, f"deleted {number}")


def test_last_of_many_saves_is_served(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "return 'first'")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        for number in range(200):
            (project / "main.py").write_text(handler(f"return 'version {number}'"))
        wait_until(lambda: session.get("orders") == (200, "version 199"), what="the last version is served")
        (project / "main.py").write_text(handler("return 'after'"))
        wait_until(lambda: session.get("orders") == (200, "after"), what="the next save is served")


def test_file_that_changes_while_it_is_reloaded_is_served_in_the_end(tmp_path: Path) -> None:
    slow = "print('importing', flush=True)\ntime.sleep(2)\n\nfrom fnkit"
    project = write_project(tmp_path / "project", "return 'first'")
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        (project / "main.py").write_text(handler("return 'second'").replace("from fnkit", slow))
        session.wait_for("log", lambda item: item["message"] == "importing")
        (project / "main.py").write_text(handler("return 'third'"))
        wait_until(lambda: session.get("orders") == (200, "third"), what="the change is served")


def test_projects_are_served_at_the_same_time(tmp_path: Path) -> None:
    first = write_project(tmp_path / "first", "return 'first'", name="first")
    second = write_project(tmp_path / "second", "return 'second'", name="second")
    with dev_session(first, tmp_path / "home") as one, dev_session(second, tmp_path / "home") as other:
        assert one.wait_for("serving")["url"] != other.wait_for("serving")["url"]
        (first / "main.py").write_text(handler("return 'changed'"))
        reloaded(one)
        assert (one.get("orders"), other.get("orders")) == ((200, "changed"), (200, "second"))


def test_narrow_terminal_shows_whole_lines_and_what_is_typed(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "return event['body'][-4:]")
    home = tmp_path / "home"
    variables = {"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache")}
    with terminal("dev", directory=project, columns=40, variables=variables) as shown:
        shown.wait_for("[q]uit")
        shown.type("e")
        shown.wait_for("Enter sends")
        shown.type("a long text of which the end is seen")
        shown.wait_for("the end is seen")
        shown.type("\r")
        shown.wait_for("orders: seen")
        (project / "main.py").write_text(handler("return broken("))
        shown.wait_for("is still")
        shown.type("q")
        assert shown.wait() == 0
    without_url = [line for line in shown.plain.replace("\r", "\n").split("\n") if "http://" not in line]
    assert max(map(len, without_url)) <= 40
