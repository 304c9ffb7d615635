"""Commands that run a project in place, with directories that it includes: scan, invoke, openapi, test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.project_tree import write_files
from tests.support.repositories import write_repository
from tests.support.toolchains import require_program

SETTINGS = """[project]
name = "shop"
version = "1"
dependencies = []

[dependency-groups]
dev = ["pytest>=8"]

[tool.fnkit]
include = ["../../libs/shared", "../../libs/money/src/money"]
"""
MAIN = """from fnkit import function

import money
from shared import words


@function
def hello(event, context):
    return words.hello() + money.show(5)


@function
def broken(event, context):
    return money.fail()


@function
def curious(event, context):
    import sys

    try:
        import beside
    except ImportError:
        return [entry for entry in sys.path if "libs" in entry]


@function
def typed(amount: money.Amount) -> str:
    return "x"
"""
EARLY = """import wave

from fnkit import function


@function
def early(event, context):
    return getattr(wave, "NAME", "standard")
"""
MONEY = """from dataclasses import dataclass

from .coin import show


@dataclass
class Amount:
    value: int


def fail():
    return 1 / 0
"""
SHARED = {
    "libs/shared/words.py": "def hello():\n    return 'hello '\n",
    "libs/shared/handlers.py": "from fnkit import function\n\n\n@function\ndef elsewhere(event, context): ...\n",
    "libs/money/src/money/__init__.py": MONEY,
    "libs/money/src/money/coin.py": "def show(amount):\n    return f'{amount} EUR'\n",
    "libs/beside.py": "",
    "libs/money/src/beside.py": "",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a repository, which is the current directory."""
    project = write_repository(tmp_path / "repository", SHARED)
    write_files(project, {"pyproject.toml": SETTINGS, "main.py": MAIN})
    monkeypatch.chdir(project)
    return project


@pytest.mark.usefixtures("shop")
def test_handlers_are_those_of_the_project(fnkit: Command) -> None:
    report = fnkit("scan", "--json").ok().json()
    assert {one["name"] for one in report["functions"]} == {"hello", "broken", "curious", "typed"}
    assert report["problems"] == []


def test_problem_in_an_included_file_is_shown_with_its_line(shop: Path, fnkit: Command) -> None:
    write_files(shop.parents[1], {"libs/shared/words.py": "import httpx\n\n\ndef hello(): ...\n"})
    result = fnkit("scan")
    assert result.code == 2
    assert "--> ../../libs/shared/words.py:1:8" in result.stdout
    assert "1 | import httpx" in result.stdout


def test_handler_with_the_name_of_an_included_directory_is_reported(shop: Path, fnkit: Command) -> None:
    write_files(
        shop, {"handlers/money.py": "from fnkit import function\n\n\n@function\ndef a(event, context): ...\n"}
    )
    problems = fnkit("scan", "--json").json()["problems"]
    assert ("handler-shadowed", "handlers/money.py") in {(one["code"], one["file"]) for one in problems}


def test_declaration_with_a_value_of_an_included_directory_needs_an_import(shop: Path, fnkit: Command) -> None:
    write_files(shop.parents[1], {"libs/shared/sizes.py": "SMALL = 128\n"})
    imports = "from fnkit import function\nfrom shared.sizes import SMALL\n\n\n"
    write_files(shop, {"small.py": f"{imports}@function(memory=SMALL)\ndef a(event, context): ...\n"})
    assert {one["code"] for one in fnkit("scan", "--json").json()["problems"]} == {"computed-argument"}
    report = fnkit("scan", "--import", "--json").ok().json()
    assert "a" in {one["name"] for one in report["functions"]}


def test_link_to_a_directory_that_cannot_be_included_shows_the_problem_of_the_setting(
    shop: Path, fnkit: Command
) -> None:
    (shop / "web").symlink_to("../../libs/shared")
    write_files(shop, {"pyproject.toml": SETTINGS.replace("libs/shared", "libs/shred")})
    error = fnkit("scan", "--json").json()
    assert "bad-include" in json.dumps(error)
    write_files(shop, {"pyproject.toml": SETTINGS.replace('"../../libs/shared", ', "")})
    result = fnkit("scan")
    assert "link-outside" in result.stderr
    assert 'include = ["../../libs/shared"]' in result.stderr


@pytest.mark.usefixtures("shop")
def test_invoked_handler_imports_the_directories_and_nothing_beside_them(fnkit: Command) -> None:
    for _ in range(2):  # the second process starts before the project is read
        assert fnkit("invoke", "hello", "--json").ok().json()["body"] == "hello 5 EUR"
    assert fnkit("invoke", "curious", "--json").ok().json()["body"].strip() == "[]"


def test_directory_that_is_included_since_stands_in_for_a_package_that_was_imported_early(
    shop: Path, fnkit: Command
) -> None:
    """The second process imports packages before the settings are read, with what was known the last time."""
    write_files(shop, {"early.py": EARLY})
    assert fnkit("invoke", "early", "--json").ok().json()["body"] == "standard"
    write_files(shop.parents[1], {"libs/wave/__init__.py": "NAME = 'included'\n"})
    write_files(shop, {"pyproject.toml": SETTINGS.replace("include = [", 'include = ["../../libs/wave", ')})
    assert fnkit("invoke", "early", "--json").ok().json()["body"] == "included"


def test_traceback_of_an_invoked_handler_names_the_real_file(shop: Path, fnkit: Command) -> None:
    result = fnkit("invoke", "broken")
    assert f'File "{shop.parents[1] / "libs/money/src/money/__init__.py"}", line 12, in fail' in result.stderr


@pytest.mark.usefixtures("shop")
def test_type_of_an_included_directory_is_described(fnkit: Command) -> None:
    document = fnkit("openapi").ok().json()
    assert "value" in json.dumps(document["paths"]) + json.dumps(document.get("components", {}))


@pytest.mark.long
def test_tests_import_the_directories_and_nothing_beside_them(shop: Path, fnkit: Command) -> None:
    write_files(
        shop,
        {
            "tests/conftest.py": "import money\n",
            "tests/test_shared.py": """import importlib.util
from pathlib import Path

import shared.words
from fnkit.testing import call, make_event
from main import hello


def test_shared_code():
    assert call(hello, make_event()).text == "hello 5 EUR"
    assert Path(shared.words.__file__).parts[-3:] == ("libs", "shared", "words.py")


def test_nothing_else():
    assert importlib.util.find_spec("beside") is None
""",
        },
    )
    result = fnkit("test", "-q")
    assert result.code == 0, result.stdout + result.stderr
    assert "2 passed" in result.stdout


def test_node_function_uses_an_included_directory_by_a_link(shop: Path, fnkit: Command) -> None:
    require_program("node")
    settings = SETTINGS + '\n[[tool.fnkit.function]]\nname = "web"\nruntime = "node24"\npath = "web"\n'
    handler = 'const { greet } = require("./shared/greet");\nexports.handle = () => greet();\n'
    write_files(shop, {"pyproject.toml": settings, "web/handler.js": handler})
    write_files(shop.parents[1], {"libs/shared/greet.js": "exports.greet = () => 'from a link';\n"})
    (shop / "web/shared").symlink_to("../../../libs/shared")
    assert fnkit("invoke", "web", "--json").ok().json()["body"] == "from a link"
