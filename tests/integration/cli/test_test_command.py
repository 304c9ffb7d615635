"""``fnkit test`` runs the tests of a project in the environment of the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.toolchains import require_program

SETTINGS = """[project]
name = "shop"
version = "1"
dependencies = []

[dependency-groups]
dev = ["fnkit", {include-group = "checks"}]
checks = ["pytest>=8"]

[tool.fnkit]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""
HANDLER = """from fnkit import cron, function


@function
def books(event, context):
    return {"path": event["path"]}


@cron("0 8 * * *", args={"say": "tick"})
def beat(event, context):
    return event["body"]
"""
TESTS = """from fnkit.testing import call, make_event

from main import books


def test_path():
    assert call(books, make_event("/a")).json() == {"path": "/a"}


def test_fnkits_own_packages_are_not_here():
    import importlib.util

    assert importlib.util.find_spec("click") is None
"""
PLATFORM_TESTS = """
def test_deployed_project_answers(fnkit_project):
    assert fnkit_project.request("books", "/b?c=1").json() == {"path": "/b"}


def test_cron_runs_when_the_clock_says_so(fnkit_platform, fnkit_project):
    fnkit_platform.advance_clock(24 * 3600)
    [run] = fnkit_project.wait_for_deliveries("cron", "beat")
    assert run["status"] == "succeeded"


def test_fixture_shows_no_secret(fnkit_platform, fnkit_project):
    assert fnkit_platform.secret_key not in repr((fnkit_platform, fnkit_project))
"""


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "pyproject.toml").write_text(SETTINGS)
    (project / "main.py").write_text(HANDLER)
    (project / "tests").mkdir()
    (project / "tests/test_main.py").write_text(TESTS)
    return project


@pytest.mark.usefixtures("shop")
def test_tests_run_with_the_fixtures_and_only_the_projects_packages(fnkit: Command) -> None:
    result = fnkit("test").ok()
    assert "2 passed" in result.stdout
    document = fnkit("test", "--json", "-k", "path").ok()
    assert document.json() == {"runs": [{"language": "Python", "directory": ".", "exit_code": 0}]}
    assert "1 passed, 1 deselected" in document.stderr


def test_failed_test_is_the_exit_code(shop: Path, fnkit: Command) -> None:
    (shop / "tests/test_main.py").write_text("def test_wrong():\n    assert 1 == 2\n")
    failed = fnkit("test")
    assert failed.code == 1
    assert "assert 1 == 2" in failed.stdout


@pytest.mark.long
def test_project_is_deployed_to_a_platform_of_the_tests(shop: Path, fnkit: Command) -> None:
    (shop / "tests/test_platform.py").write_text(PLATFORM_TESTS)
    result = fnkit("test", "tests/test_platform.py", timeout=300).ok()
    assert "3 passed" in result.stdout


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ('dev = ["pytest >"]', "is no requirement"),
        ('dev = "pytest"', "it is no list"),
        ("dev = [1]", "is neither a requirement nor an included group"),
        ('dev = [{include-group = "dev"}]', "it includes itself"),
    ],
)
def test_invalid_group_is_an_error_at_its_file(shop: Path, fnkit: Command, groups: str, reason: str) -> None:
    text = SETTINGS.replace('dev = ["fnkit", {include-group = "checks"}]\n', f"{groups}\n")
    (shop / "pyproject.toml").write_text(text)
    error = fnkit("test", "--json").json()["error"]
    assert (error["code"], error["file"]) == ("dependency-group", "pyproject.toml")
    assert reason in error["message"]


def test_package_for_tests_that_is_in_no_index_is_an_error(shop: Path, fnkit: Command) -> None:
    source = '[tool.uv.sources]\npytest = { path = "../helpers" }\n'
    (shop / "pyproject.toml").write_text(SETTINGS + source)
    error = fnkit("test", "--json").json()["error"]
    assert (error["code"], error["file"]) == ("requirement-place", "pyproject.toml")
    assert error["message"] == "pytest is taken from a directory or a file by [tool.uv.sources]."


@pytest.mark.long
def test_other_languages_run_their_own_test_runner(project: Path, fnkit: Command) -> None:
    require_program("npm")
    (project / "fnkit.toml").write_text(
        'name = "shop"\n\n[[function]]\nname = "web"\nruntime = "node22"\nhandler = "handler.handle"\n'
    )
    (project / "handler.js").write_text("exports.handle = () => 'ok';\n")
    manifest = {
        "name": "shop",
        "scripts": {"test": "npm run own", "own": "node -e \"require('./handler').handle()\""},
    }
    (project / "package.json").write_text(json.dumps(manifest))
    assert fnkit("test", "--json").ok().json()["runs"] == [{"language": "Node", "directory": ".", "exit_code": 0}]
    manifest["scripts"] = {"test": 'node -e "process.exit(3)"'}
    (project / "package.json").write_text(json.dumps(manifest))
    failed = fnkit("test", "--json")
    assert (failed.code, failed.json()["runs"][0]["exit_code"]) == (1, 3)


def test_project_without_tests_says_how_to_write_some(project: Path, fnkit: Command) -> None:
    (project / "fnkit.toml").write_text(
        'name = "shop"\n\n[[function]]\nname = "web"\nruntime = "node22"\nhandler = "handler.handle"\n'
    )
    (project / "handler.js").write_text("exports.handle = () => 'ok';\n")
    error = fnkit("test", "--json").json()["error"]
    assert error["code"] == "no-tests"
