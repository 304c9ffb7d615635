"""``fnkit dev`` with triggers and requirements: messages are sent with a key, packages are installed at a save."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dev_session import dev_session
from tests.support.package_index import make_wheel, package_index
from tests.support.project_tree import write_files
from tests.support.terminal import terminal

pytestmark = [pytest.mark.long, pytest.mark.slow]

TRIGGERED = """
from fnkit import cron, function, trigger


@trigger(nats="orders.new", name="new")
@function
def orders(event, context):
    print("received", event["body"])


@cron("0 3 * * *", name="nightly", args={"word": "now"})
@cron("0 4 * * *", name="later")
@function
def report(event, context):
    print("report of", event["body"])
"""


def test_keys_send_messages_and_run_crons(tmp_path: Path) -> None:
    project = write_files(tmp_path / "project", {"fnkit.toml": 'name = "shop"\n', "main.py": TRIGGERED})
    home = tmp_path / "home"
    variables = {"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache")}
    with terminal("dev", directory=project, variables=variables) as shown:
        shown.wait_for("[q] quit")
        assert "trigger new on orders.new" in shown.plain
        shown.type("e")
        shown.wait_for("send to: [1] orders/new  [2] report")
        shown.type("1")
        shown.wait_for("message for orders/new")
        shown.type("twu\x7f\x7fwo crates\n")
        shown.wait_for("received two crates")
        shown.type("c")
        shown.wait_for("run: [1] report/")
        number = "1" if "[1] report/nightly" in shown.plain else "2"
        shown.type(number)
        shown.wait_for('report of {"word":"now"}')
        shown.type("e")
        shown.wait_for("send to: [1] orders/new")
        shown.type("\x1b")
        shown.type("x")
        shown.type("q")
        assert shown.wait() == 0
    assert "event  " in shown.plain, "events have no path"


def test_added_requirement_is_locked_and_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with package_index(tmp_path / "index") as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        make_wheel(index.folder, "shelf", "1.0")
        settings = '[project]\nname = "shop"\nversion = "1"\ndependencies = []\n\n[tool.fnkit]\n'
        handler = "from fnkit import function\n\n\n@function\ndef books(event, context):\n    return 'no shelf'\n"
        project = write_files(tmp_path / "project", {"pyproject.toml": settings, "main.py": handler})
        with dev_session(project, tmp_path / "home") as session:
            session.wait_for("serving")
            assert session.get("books") == (200, "no shelf")
            (project / "pyproject.toml").write_text(settings.replace("[]", '["shelf"]'))
            [change] = session.wait_for("reloaded", lambda item: bool(item["functions"]))["functions"]
            assert change == {"name": "books", "action": "updated"}
            (project / "main.py").write_text(f"import shelf\n{handler}".replace("'no shelf'", "shelf.VERSION"))
            session.wait_for("reloaded", lambda item: bool(item["functions"]))
            assert session.get("books") == (200, "1.0")

            (project / "pyproject.toml").write_text(settings.replace("[]", '["missing-package"]'))
            [problem] = session.wait_for("rejected")["problems"]
            assert "missing-package" in problem["message"]
            assert session.get("books") == (200, "1.0"), "the last version that worked serves"

            (project / "pyproject.toml").write_text(settings.replace("[]", '["shelf"]'))
            session.wait_for("reloaded")
            [lock] = project.glob("fnkit.*.lock")
            lock.write_text("this is no lock file")
            [problem] = session.wait_for("rejected")["problems"]
            assert (problem["code"], problem["file"]) == ("lock-file", lock.name)
            assert session.get("books") == (200, "1.0")
            lock.unlink()
            session.wait_for("reloaded")
            assert session.get("books") == (200, "1.0")
