"""Links, commands and code in the README, the documentation and the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fnkit.cli.app import VERBS
from fnkit.deploy.loading import load_project
from tests.support.source_tree import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "examples").glob("*/README.md")),
]


def path_in_repository(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def command_blocks(page: Path) -> list[str]:
    """Return the code blocks of a page that may contain commands: console, sh, or without a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in fenced if language in {"", "console", "sh"}]


@pytest.mark.parametrize("page", PAGES, ids=path_in_repository)
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=path_in_repository)
def test_commands_in_code_blocks_exist(page: Path) -> None:
    shown = {
        verb
        for block in command_blocks(page)
        for verb in re.findall(r"(?:^|&& |\$ )fnkit ([a-z]+)", block, re.MULTILINE)
    }
    assert shown <= set(VERBS)


def test_make_targets_in_code_blocks_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [block for page in PAGES for block in command_blocks(page)]
    assert {name for block in commands for name in re.findall(r"^make ([a-z]+)", block, re.MULTILINE)} <= targets


def test_first_example_of_the_readme_declares_its_secrets_and_crons(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "fnkit.toml").write_text('name = "shop"\n', encoding="utf-8")
    (tmp_path / "main.py").write_text(code, encoding="utf-8")
    functions = {function.name: function for function in load_project(tmp_path).functions}
    assert functions["orders"].secrets == ("DATABASE_URL",)
    assert [cron.schedule for cron in functions["cleanup"].crons] == ["*/5 * * * *"]
