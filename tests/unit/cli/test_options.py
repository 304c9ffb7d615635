"""Which folder is the project's, and which commands make sense in a folder."""

from __future__ import annotations

from pathlib import Path

from fnkit.cli.landing import next_commands
from fnkit.cli.options import project_folder


def test_the_nearest_folder_upward_with_settings_is_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.fnkit]\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    assert project_folder(inner) == tmp_path
    (tmp_path / "a" / "fnkit.toml").write_text("")
    assert project_folder(inner) == tmp_path / "a"


def test_settings_that_are_broken_are_found_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.fnkit]\nname = \n")
    assert project_folder(tmp_path) == tmp_path


def test_no_settings_are_no_project(tmp_path: Path) -> None:
    assert project_folder(tmp_path) is None


def test_the_landing_page_depends_on_the_folder(tmp_path: Path) -> None:
    assert next_commands(tmp_path)[0][0] == "fnkit new shop"
    (tmp_path / "handler.py").write_text("")
    assert next_commands(tmp_path)[1][0] == "fnkit deploy --local"
    (tmp_path / "fnkit.toml").write_text("")
    assert [command for command, _ in next_commands(tmp_path)] == [
        "fnkit scan",
        "fnkit deploy --local",
        "fnkit deploy",
    ]
