"""Options that commands share, and the types and parsers of option values.

Each decorator collects a group of options into one frozen value, which the command receives as an argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click

from fnkit.cli.output import JsonDocument, Output

__all__ = ["ApiOptions", "CommonOptions", "CommandFunction", "api_options", "common_options"]

CommandFunction: TypeAlias = Callable[..., int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """The options of every command.

    Args:
        directory: Absolute path of the directory given, or of the current one. The project's root is this
            directory or its nearest parent that has settings (``fnkit.project.find_root``).
        stage: Name of the stage; empty without one.
        output: Where the command writes its result and its messages.
    """

    directory: Path
    stage: str
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """The API options as given by flags. ``None`` leaves the value to the environment and the profile."""

    project_id: str | None
    region: str | None
    profile: str | None
    api_url: str | None
    local: bool


def common_options(command: CommandFunction) -> CommandFunction:
    """Add the common options to a command, which receives them as ``common``, a ``CommonOptions``."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option(
        "-C",
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Find the project in this directory or its parents.  [default: current directory]",
    )
    @click.option(
        "--stage", default="", metavar="NAME", callback=_validate_stage, help="Use the namespace of this stage."
    )
    @click.option("-q", "--quiet", is_flag=True, help="Print only results, warnings and errors.")
    @click.option("-v", "--verbose", count=True, help="Print more details.")
    @click.option("--no-color", is_flag=True, help="Disable colours.")
    @click.pass_obj
    @functools.wraps(command)
    def wrapped(
        document: JsonDocument,
        /,
        *,
        as_json: bool,
        directory: Path | None,
        stage: str,
        quiet: bool,
        verbose: int,
        no_color: bool,
        **rest: object,
    ) -> int | None:
        output = Output(document, as_json=as_json, verbosity=-1 if quiet else verbose, colour=not no_color)
        folder = (directory or Path()).absolute()
        return command(common=CommonOptions(directory=folder, stage=stage, output=output), **rest)

    return wrapped


def api_options(command: CommandFunction) -> CommandFunction:
    """Add the API options to a command, which receives them as ``api``, an ``ApiOptions``."""

    @click.option("--project-id", metavar="ID", help="Scaleway project ID. [env: SCW_DEFAULT_PROJECT_ID]")
    @click.option("--region", metavar="NAME", help="Scaleway region. [env: SCW_DEFAULT_REGION; default: fr-par]")
    @click.option("--profile", metavar="NAME", help="Profile in Scaleway's config file. [env: SCW_PROFILE]")
    @click.option("--api-url", metavar="URL", help="URL of the API. [env: SCW_API_URL]")
    @click.option("--local", is_flag=True, help="Use the local platform; start it if it is not running.")
    @functools.wraps(command)
    def wrapped(
        *,
        project_id: str | None,
        region: str | None,
        profile: str | None,
        api_url: str | None,
        local: bool,
        **rest: object,
    ) -> int | None:
        options = ApiOptions(project_id=project_id, region=region, profile=profile, api_url=api_url, local=local)
        return command(api=options, **rest)

    return wrapped


def _validate_stage(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from fnkit.contract.names import STAGE_RULE

    if value and not STAGE_RULE.fullmatch(value):
        raise click.BadParameter(
            "a stage has 1 to 16 characters of a-z, 0-9 and '-', and starts with a letter or digit",
            context,
            parameter,
        )
    return value
