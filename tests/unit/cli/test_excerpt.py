"""A problem shows its source line: of code and settings alone, safe for a terminal, cut around the marked place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fnkit.cli.excerpt import Excerpt, read_excerpt
from fnkit.errors import Problem


def excerpt(root: Path, line: str, column: int, end: int | None, *, width: int | None = 80) -> Excerpt | None:
    (root / "a.py").write_text(f"first\n{line}\n", encoding="utf-8")
    return read_excerpt(root, Problem("c", "m", None, "a.py", 2, column, end), width)


def marked(found: Excerpt | None) -> str:
    """Return the text that is marked, of a line of narrow characters."""
    assert found is not None
    return found.text[found.start : found.start + found.length]


def test_place_is_marked(tmp_path: Path) -> None:
    assert excerpt(tmp_path, '@cron("61 * * * *")', 7, 19) == Excerpt(2, '@cron("61 * * * *")', 6, 12)


def test_place_without_an_end_reaches_to_the_end_of_the_line(tmp_path: Path) -> None:
    assert marked(excerpt(tmp_path, "@function(", 2, None)) == "function("


def test_place_after_the_end_of_the_line_is_one_column(tmp_path: Path) -> None:
    assert excerpt(tmp_path, "if x", 5, 5) == Excerpt(2, "if x", 4, 1)


def test_tab_takes_the_columns_that_are_shown_for_it(tmp_path: Path) -> None:
    assert excerpt(tmp_path, "\tif\tx", 5, 6) == Excerpt(2, "    if  x", 8, 1)


def test_wide_characters_before_the_place_take_two_columns(tmp_path: Path) -> None:
    assert excerpt(tmp_path, "注文(memory=3)", 11, 12) == Excerpt(2, "注文(memory=3)", 12, 1)


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    found = excerpt(tmp_path, "x = '\x1b[2J' + 3", 14, 15)
    assert found is not None
    assert "\x1b" not in found.text
    assert marked(found) == "3"


@pytest.mark.parametrize("column", [1, 40, 500, 1990])
@pytest.mark.parametrize("width", [40, 100, None])
def test_long_line_is_cut_around_the_place(tmp_path: Path, column: int, width: int | None) -> None:
    line = "".join(chr(ord("a") + number % 26) for number in range(2000))
    found = excerpt(tmp_path, line, column, column + 4, width=width)
    assert found is not None
    assert marked(found) == line[column - 1 : column + 3]
    assert len(found.text) <= (160 if width is None else width)
    assert "…" in found.text


def test_marks_end_where_a_long_line_is_cut(tmp_path: Path) -> None:
    found = excerpt(tmp_path, "x = '" + "y" * 900 + "'", 5, 907, width=60)
    assert found is not None
    assert found.start + found.length < len(found.text) <= 60


def test_credentials_in_an_address_are_hidden(tmp_path: Path) -> None:
    found = excerpt(tmp_path, "u = 'https://me:hunter2@example.com/'", 5, None)
    assert found is not None
    assert found.text == "u = 'https://**********@example.com/'"


@pytest.mark.parametrize(
    "name", [".env", ".env.prod", "brokers.toml", "config.yaml", "credentials.json", "id_rsa", "x"]
)
def test_file_that_may_hold_secrets_is_never_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("A = 1\n")
    assert read_excerpt(tmp_path, Problem("c", "m", None, name, 1, 1, 2), 80) is None


def test_file_outside_the_project_is_never_shown(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside.py").write_text("SECRET = 1\n")
    (project / "linked.py").symlink_to(tmp_path / "outside.py")
    (project / ".env").write_text("A=1\n")
    (project / "env.py").symlink_to(project / ".env")
    for file in ("../outside.py", "linked.py", "env.py", str(tmp_path / "outside.py")):
        assert read_excerpt(project, Problem("c", "m", None, file, 1, 1, 2), 80) is None


def test_unreadable_file_has_no_excerpt(tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    os.mkfifo(tmp_path / "pipe.py")
    for file in ("bytes.py", "folder.py", "circle.py", "pipe.py", "missing.py", "nul\0.py"):
        assert read_excerpt(tmp_path, Problem("c", "m", None, file, 1, 1, 2), 80) is None


def test_file_that_changed_has_no_excerpt(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    assert read_excerpt(tmp_path, Problem("c", "m", None, "a.py", 9, 1, 2), 80) is None
    assert read_excerpt(tmp_path, Problem("c", "m", None, "a.py", 1, 9, 12), 80) is None


def test_place_without_a_column_has_no_excerpt(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    assert read_excerpt(tmp_path, Problem("c", "m", None, "a.py", 1), 80) is None
