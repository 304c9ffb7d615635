"""What the README and the documentation show is there, and works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fnkit.cli.application import VERBS
from fnkit.scanner import scan
from tests.support.source_tree import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "examples").glob("*/README.md")),
]


def named(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:\$ )?fnkit ([a-z]+)", text, re.MULTILINE)) | set(
        re.findall(r"&& fnkit ([a-z]+)", text)
    )
    assert shown <= set(VERBS)


def test_the_readme_s_first_code_declares_what_it_says(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "main.py").write_text(code, encoding="utf-8")
    report = scan(tmp_path, [tmp_path / "main.py"])
    assert report.problems == ()
    assert [function.name for function in report.functions] == ["orders", "cleanup"]


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {
        target for page in PAGES for target in re.findall(r"\bmake ([a-z]+)\b", page.read_text(encoding="utf-8"))
    }
    assert shown & {"demo", "test", "check", "bench"} <= targets
    assert (
        set(re.findall(r"^make ([a-z]+)", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
        <= targets
    )
