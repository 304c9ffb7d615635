"""``docs/cli.md`` documents exactly the options of each command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.cli_commands import command_for, command_paths, is_group

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMON = {"--json", "--directory", "--stage", "--quiet", "--verbose", "--no-color", "--help"}
API = {"--project-id", "--region", "--profile", "--api-url", "--local"}


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no section {title!r}"
    return found[1]


def options(verb: tuple[str, ...]) -> set[str]:
    names = {name for found in command_for(verb).params for name in (*found.opts, *found.secondary_opts)}
    return {name for name in names if name.startswith("--")}


@pytest.mark.parametrize("verb", command_paths(), ids=" ".join)
def test_command_section_names_every_option(verb: tuple[str, ...]) -> None:
    text = section(" ".join(("fnkit", *verb)))
    expected = options(verb) - COMMON - API - ({"--data-dir"} if verb[0] == "platform" else set())
    assert {option for option in expected if option not in text} == set()


@pytest.mark.parametrize("verb", [verb for verb in command_paths() if not is_group(verb)], ids=" ".join)
def test_command_section_names_no_unknown_option(verb: tuple[str, ...]) -> None:
    named = set(re.findall(r"(?<!`fnkit )(?<!\w )--[a-z][a-z-]+", section(" ".join(("fnkit", *verb)))))
    assert named - options(verb) == set()


def test_common_options_are_documented() -> None:
    text = section("Every verb")
    assert {option for option in (COMMON | API) - {"--help"} if option not in text} == set()
