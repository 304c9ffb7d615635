"""Reading settings: their locations, rejected values, and the lines of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import ProjectError, ProjectInvalid
from fnkit.project import find_root, read_settings
from fnkit.project.settings import FunctionDefaults, NamespaceTable
from tests.support.project_tree import locations, write_files


def problem_places(root: Path, files: dict[str, str]) -> list[str]:
    write_files(root, files)
    with pytest.raises(ProjectInvalid) as raised:
        read_settings(root)
    return locations(raised.value.problems)


def test_settings_are_read_from_pyproject(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "pyproject.toml": """
[project]
name = "shop"
[tool.fnkit]
region = "nl-ams"
exclude = ["data/"]
namespace = { name = "shop-eu", shared = true }
[tool.fnkit.defaults]
memory = 512
timeout = "1m"
"""
        },
    )
    settings = read_settings(tmp_path)
    assert (settings.name, settings.file, settings.table.exclude) == ("shop", "pyproject.toml", ("data/",))
    assert settings.table.namespace == NamespaceTable(name="shop-eu", shared=True)
    assert settings.table.defaults == FunctionDefaults(memory=512, timeout="1m")
    assert settings.lines.line("defaults", "timeout") == 10


def test_settings_are_read_from_fnkit_toml(tmp_path: Path) -> None:
    write_files(tmp_path, {"fnkit.toml": 'name = "shop"\n', "pyproject.toml": '[project]\nname = "other"\n'})
    settings = read_settings(tmp_path)
    assert (settings.name, settings.file) == ("shop", "fnkit.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'a'\nnamespase = 'b'", ["unknown-setting fnkit.toml:2"]),
        ("name = 'a'\n[defaults]\nmemory = '1'", ["setting-type fnkit.toml:3"]),
        ("name = 'a'\n[defaults]\n\nmemory = true", ["setting-type fnkit.toml:4"]),
        ("name = 'a'\n[defaults.env]\nA = 'x'\nB = 1", ["setting-type fnkit.toml:4"]),
        ("name = 'a'\ndefaults = 1", ["setting-type fnkit.toml:2"]),
        ("name = 'a'\n[[function]]\nname = 'x'\n[[function]]\nruntime = 'go126'", ["setting-missing fnkit.toml:4"]),
        ("name = 'a'\n[[function]]\nname = 'x'\n[[function.crons]]\nargs = 1",
         ["setting-type fnkit.toml:5", "setting-missing fnkit.toml:4"]),
        ("name = 'a'\n[stages.prod.functions.'a.b']\nmemry = 1", ["unknown-setting fnkit.toml:3"]),
        ("name = 5", ["setting-type fnkit.toml:1"]),
        ("region = 'fr-par'", ["setting-missing fnkit.toml:1"]),
        ("name = 'a'\nname = 'b'", ["toml-syntax fnkit.toml:2"]),
        ("name = 'a'\n\nname", ["toml-syntax fnkit.toml:3"]),
        ("a = 1" + "0" * 5000, ["toml-syntax fnkit.toml:1"]),
        ("a = " + "[" * 5000, ["toml-syntax fnkit.toml:1"]),
    ],
    ids=lambda value: value[:60].replace("\n", " | ") if isinstance(value, str) else None,
)  # fmt: skip
def test_problem_is_reported_with_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problem_places(tmp_path, {"fnkit.toml": text}) == expected


def test_all_problems_are_reported_together_with_suggestions(tmp_path: Path) -> None:
    write_files(tmp_path, {"fnkit.toml": "name = 'a'\nregoin = 'x'\n[defaults]\nmemory = '5'\npreload = 1\n"})
    with pytest.raises(ProjectInvalid) as raised:
        read_settings(tmp_path)
    assert [(one.message, one.hint) for one in raised.value.problems] == [
        ("There is no setting regoin.", "Did you mean region?"),
        ("defaults.memory: expected a whole number, got a string.", None),
        ("defaults.preload: expected true or false, got a whole number.", None),
    ]


def test_settings_in_two_files_are_rejected(tmp_path: Path) -> None:
    files = {"fnkit.toml": "name = 'a'", "pyproject.toml": "[tool.fnkit]\nname = 'b'"}
    assert problem_places(tmp_path, files) == ["settings-twice fnkit.toml:1"]


def test_settings_that_are_not_utf_8_are_reported(tmp_path: Path) -> None:
    (tmp_path / "fnkit.toml").write_bytes(b"name = '\xff'")
    assert problem_places(tmp_path, {}) == ["toml-syntax fnkit.toml:1"]


@pytest.mark.parametrize("files", [{}, {"pyproject.toml": "[tool.other]\nx = 1"}], ids=["no files", "another tool"])
def test_folder_without_settings_is_an_error(tmp_path: Path, files: dict[str, str]) -> None:
    write_files(tmp_path, files)
    with pytest.raises(ProjectError) as raised:
        read_settings(tmp_path)
    assert raised.value.code == "no-settings"


@pytest.mark.parametrize(
    "files",
    [
        {"fnkit.toml": "name = 'a'"},
        {"pyproject.toml": "[tool.fnkit]\n"},
        {"pyproject.toml": "tool.fnkit.name = 'a'"},
        {"pyproject.toml": "[tool]\nfnkit = {name = 'a'}"},
        {"pyproject.toml": "[tool.fnkit]\nbroken"},
    ],
    ids=["fnkit.toml", "table", "dotted", "inline", "broken"],
)
def test_root_is_the_nearest_parent_folder_with_settings(tmp_path: Path, files: dict[str, str]) -> None:
    write_files(tmp_path, {f"shop/{name}": text for name, text in files.items()})
    deep = tmp_path / "shop" / "a" / "b"
    deep.mkdir(parents=True)
    write_files(deep, {"pyproject.toml": "[project]\nname = 'fnkit'"})
    assert find_root(deep) == tmp_path / "shop"
    assert find_root(tmp_path / "shop") == tmp_path / "shop"


def test_folder_outside_a_project_has_no_root(tmp_path: Path) -> None:
    assert find_root(tmp_path) is None
