"""The tables of commands agree with the commands, and starting the command line imports few modules."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from fnkit.platform.data_plane.workers.isolation import Level
from tests.support.cli_commands import command_for, command_paths, command_summary, is_group

_COMMON = {"--json", "--directory", "--stage", "--quiet", "--verbose", "--no-color"}
_API = {"--project-id", "--region", "--profile", "--api-url", "--local"}


@pytest.mark.parametrize("command", command_paths(), ids=" ".join)
def test_table_shows_the_first_help_line_of_each_command(command: tuple[str, ...]) -> None:
    help_text = command_for(command).help or ""
    assert help_text.splitlines()[0] == command_summary(command)


@pytest.mark.parametrize("command", [command for command in command_paths() if not is_group(command)], ids=" ".join)
def test_every_command_accepts_the_common_options(command: tuple[str, ...]) -> None:
    assert _options(command) >= _COMMON


@pytest.mark.parametrize("command", ["plan", "deploy", "status", "invoke", "destroy"])
def test_commands_that_call_the_api_accept_its_options(command: str) -> None:
    assert _options((command,)) >= _API


def test_isolation_option_offers_the_levels_of_the_engine() -> None:
    (option,) = [found for found in command_for(("platform", "start")).params if found.name == "isolation"]
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == {"auto", *(level.value for level in Level)}


@pytest.mark.parametrize("module", ["rich", "requests", "msgspec", "click"])
def test_version_option_imports_no_heavy_module(module: str) -> None:
    run = "sys.argv = ['fnkit', '--version']; fnkit.cli.main()"
    code = f"import sys, fnkit.cli; {run}; assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("module", ["rich", "requests", "msgspec"])
def test_help_option_imports_no_heavy_module(module: str) -> None:
    code = f"import sys; from fnkit.cli.app import run; run(['--help']); assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def _options(command: tuple[str, ...]) -> set[str]:
    return {name for found in command_for(command).params for name in found.opts if name.startswith("--")}
