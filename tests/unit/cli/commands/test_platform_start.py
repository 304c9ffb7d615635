"""The tables of verbs agree with the commands they name, and starting the command line stays light."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from fnkit.platform.data_plane.workers.isolation import Level
from tests.support.cli_commands import command_for, command_paths, command_summary, is_group

_COMMON = {"--json", "--directory", "--stage", "--quiet", "--verbose", "--no-color"}
_API = {"--project-id", "--region", "--profile", "--api-url", "--local"}


@pytest.mark.parametrize("verb", command_paths(), ids=" ".join)
def test_the_tables_line_is_the_commands_own(verb: tuple[str, ...]) -> None:
    help_text = command_for(verb).help or ""
    assert help_text.splitlines()[0] == command_summary(verb)


@pytest.mark.parametrize("verb", [verb for verb in command_paths() if not is_group(verb)], ids=" ".join)
def test_every_verb_takes_the_common_options(verb: tuple[str, ...]) -> None:
    assert _options(verb) >= _COMMON


@pytest.mark.parametrize("verb", ["plan", "deploy", "status", "invoke", "destroy"])
def test_verbs_that_talk_to_an_api_take_its_options(verb: str) -> None:
    assert _options((verb,)) >= _API


def test_the_isolation_levels_are_the_engines() -> None:
    (option,) = [found for found in command_for(("platform", "start")).params if found.name == "isolation"]
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == {"auto", *(level.value for level in Level)}


@pytest.mark.parametrize("module", ["rich", "requests", "msgspec", "click"])
def test_the_version_imports_nothing_heavy(module: str) -> None:
    run = "sys.argv = ['fnkit', '--version']; fnkit.cli.main()"
    code = f"import sys, fnkit.cli; {run}; assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("module", ["rich", "requests", "msgspec"])
def test_the_help_imports_nothing_heavy(module: str) -> None:
    code = f"import sys; from fnkit.cli.app import run; run(['--help']); assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _options(verb: tuple[str, ...]) -> set[str]:
    return {name for found in command_for(verb).params for name in found.opts if name.startswith("--")}
