"""A repository with a project and shared libraries, on a real platform: deployed, changed, developed, debugged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.debug_client import debug_client
from tests.support.debugpy_wheel import write_debugpy_wheel
from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.package_index import package_index
from tests.support.platform import PlatformUnderTest
from tests.support.project_tree import write_files
from tests.support.repositories import write_repository
from tests.support.toolchains import require_program
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

SETTINGS = """name = "shop"
include = ["../../libs/shared", "../../libs/money/src/money"]

[[function]]
name = "web"
runtime = "node24"
path = "web"
"""
FILES = {
    "services/shop/hello.py": """from fnkit import function
from shared import words


@function
def hello(event, context):
    return words.hello()
""",
    "services/shop/price.py": """from fnkit import function
import money


@function
def price(event, context):
    return money.show(5)
""",
    "services/shop/alone.py": """from fnkit import function


@function
def alone(event, context):
    return "alone"
""",
    "services/shop/web/handler.js": """const { greet } = require("./common/greet");
exports.handle = () => greet();
""",
    "libs/shared/words.py": "def hello():\n    text = 'hello'\n    return text\n",
    "libs/money/src/money/__init__.py": "from .coin import show\n",
    "libs/money/src/money/coin.py": "def show(amount):\n    return f'{amount} EUR'\n",
    "libs/js/greet.js": "exports.greet = () => 'greeted';\n",
}
SHARED = "../../libs/shared/words.py"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project whose Node function uses a directory of the repository by a link."""
    require_program("node")
    project = write_repository(tmp_path / "repository", FILES)
    include = 'include = ["../../libs/js", '
    write_files(project, {"fnkit.toml": SETTINGS.replace("include = [", include)})
    (project / "web/common").symlink_to("../../../libs/js")
    return project


@pytest.fixture
def python_shop(tmp_path: Path) -> Path:
    """A project in Python only."""
    project = write_repository(tmp_path / "repository", FILES)
    return write_files(project, {"fnkit.toml": SETTINGS.partition("\n[[")[0] + "\n"})


def test_shared_code_is_deployed_and_a_change_updates_only_its_users(
    shop: Path, platform: PlatformUnderTest, tmp_path: Path
) -> None:
    fnkit = Command({"FNKIT_HOME": str(platform.home), "FNKIT_CACHE": str(tmp_path / "cache")})

    def body(name: str) -> object:
        return fnkit("invoke", name, "--remote", "--local", "--json", cwd=shop).ok().json()["body"]

    def changes(command: str, *options: str) -> dict[str, str]:
        found = fnkit(command, "--local", "--json", *options, cwd=shop).ok().json()
        rows = found["changes"] if command == "plan" else found["functions"]
        return {one["name"]: one["action"] for one in rows if one.get("kind", "function") == "function"}

    fnkit("deploy", "--local", "--yes", cwd=shop).ok()
    assert [body(name) for name in ("hello", "price", "alone", "web")] == ["hello", "5 EUR", "alone", "greeted"]
    assert set(changes("plan").values()) <= {"keep"}
    change(shop / SHARED, "'hello'", "'good day'")
    assert f"code: {SHARED} changed" in fnkit("plan", "--local", cwd=shop).ok().stdout
    assert {name for name, action in changes("plan").items() if action == "update"} == {"hello"}
    done = fnkit("deploy", "--local", "--json", cwd=shop).ok().json()
    assert {one["name"] for one in done["functions"] if one["action"] == "update"} == {"hello"}
    assert [body("hello"), body("alone")] == ["good day", "alone"]
    change(shop.parents[1] / "libs/js/greet.js", "greeted", "greeted again")
    fnkit("deploy", "--local", cwd=shop).ok()
    assert body("web") == "greeted again"


def _reloaded(session: DevSessionUnderTest) -> set[str]:
    """Return the functions that the next reload replaced."""
    return {str(one["name"]) for one in session.wait_for("reloaded")["functions"]}


def test_dev_reloads_the_functions_whose_shared_code_changed(python_shop: Path, tmp_path: Path) -> None:
    with dev_session(python_shop, tmp_path / "home") as session:
        session.wait_for("serving")
        assert session.get("hello") == (200, "hello")
        change(python_shop / SHARED, "'hello'", "'good day'")
        assert _reloaded(session) == {"hello"}
        assert session.get("hello") == (200, "good day")
        write_files(python_shop.parents[1], {"libs/money/src/money/new.py": "NAME = 'CHF'\n"})
        coin = python_shop.parents[1] / "libs/money/src/money/coin.py"
        coin.write_text("from . import new\n\n\ndef show(amount):\n    return f'{amount} {new.NAME}'\n")
        assert _reloaded(session) == {"price"}
        assert session.get("price") == (200, "5 CHF")
        change(python_shop / SHARED, "text = 'good day'", "text = 1 / 0")
        assert _reloaded(session) == {"hello"}
        assert session.get("hello")[0] == 500
        traceback = session.wait_for("traceback")
        assert traceback["frames"][0]["file"] == SHARED
        change(python_shop / SHARED, "def hello", "import nothing\n\n\ndef hello")
        rejected = session.wait_for("rejected")
        assert SHARED in json.dumps(rejected)


def test_dev_watches_a_directory_that_is_included_meanwhile(python_shop: Path, tmp_path: Path) -> None:
    write_files(python_shop.parents[1], {"libs/more/names.py": "NAME = 'one'\n"})
    with dev_session(python_shop, tmp_path / "home") as session:
        session.wait_for("serving")
        change(python_shop / "fnkit.toml", "include = [", 'include = ["../../libs/more", ')
        change(python_shop / "alone.py", 'return "alone"', "from more import names\n\n    return names.NAME")
        assert _reloaded(session) == {"alone"}
        assert session.get("alone") == (200, "one")
        names = python_shop.parents[1] / "libs/more/names.py"
        change(names, "one", "two")
        assert _reloaded(session) == {"alone"}
        assert session.get("alone") == (200, "two")


def test_dev_sees_a_directory_that_was_replaced(python_shop: Path, tmp_path: Path) -> None:
    shared = (python_shop / SHARED).parent.resolve()
    with dev_session(python_shop, tmp_path / "home") as session:
        session.wait_for("serving")
        shared.rename(tmp_path / "away")
        assert "bad-include" in json.dumps(session.wait_for("rejected"))
        assert session.get("hello") == (200, "hello")
        (tmp_path / "away").rename(shared)
        change(shared / "words.py", "'hello'", "'good day'")
        # The directory that is back and the file that changed may be one reload or two.
        wait_until(lambda: session.get("hello") == (200, "good day"), what="the new answer")


def test_import_that_fails_in_shared_code_is_shown_there(python_shop: Path, tmp_path: Path) -> None:
    with dev_session(python_shop, tmp_path / "home") as session:
        session.wait_for("serving")
        change(python_shop / SHARED, "def hello", "VALUE = 1 / 0\n\n\ndef hello")
        item = session.wait_for("reloaded")
        [failed] = [one for one in item["functions"] if one["name"] == "hello"]
        assert (failed["error"]["file"], failed["error"]["line"]) == (SHARED, 1)
        assert f'File "{SHARED}", line 1' in failed["error"]["message"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with package_index(tmp_path / "index") as server:
        write_debugpy_wheel(server.folder)
        monkeypatch.setenv("UV_DEFAULT_INDEX", server.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        yield


@pytest.mark.usefixtures("index")
def test_breakpoint_in_shared_code_stops_a_request(python_shop: Path, tmp_path: Path) -> None:
    file = (python_shop / SHARED).resolve()
    with dev_session(python_shop, tmp_path / "home", "--debug", "hello") as session:
        session.wait_for("serving")
        item = session.wait_for("debugging")
        with debug_client(item["port"]) as editor:
            text = json.dumps(item["configuration"]).replace("${workspaceFolder}", str(python_shop))
            editor.attach(json.loads(text), {file: [3]})
            request = threading.Thread(target=session.get, args=("hello",), daemon=True)
            request.start()
            thread, frames = editor.wait_until_stopped()
            shown = [(one["name"], one["source"]["path"]) for one in frames]
            assert shown[:2] == [("hello", str(file)), ("hello", str(python_shop / "hello.py"))]
            assert editor.local_variables(frames[0]) == {"text": "'hello'"}
            editor.call("continue", threadId=thread)
            request.join(60)
            assert not request.is_alive()
