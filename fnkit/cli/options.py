"""The options that verbs share, as decorators that hand a verb one frozen value each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click

from fnkit.cli.output import Document, Output

__all__ = ["ApiOptions", "CommonOptions", "Verb", "api_options", "common_options"]

Verb: TypeAlias = Callable[..., int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """What every verb knows: where to look for the project, the stage (``""`` without one), its output.

    ``directory`` is absolute: the one given, else the current one. The project's folder is the nearest one
    upward from it that holds settings; finding it is the library's work (``fnkit.project.find_root``).
    """

    directory: Path
    stage: str
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """Where to deploy, as far as flags say so; ``None`` leaves it to the environment and the profile."""

    project_id: str | None
    region: str | None
    profile: str | None
    api_url: str | None
    local: bool


def common_options(verb: Verb) -> Verb:
    """Give the verb ``common``: a ``CommonOptions``."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
    @click.option(
        "-C",
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Where to look for the project: the nearest folder upward with settings.  [default: here]",
    )
    @click.option(
        "--stage", default="", metavar="NAME", callback=_checked_stage, help="The stage: a namespace of its own."
    )
    @click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
    @click.option("-v", "--verbose", count=True, help="Say more.")
    @click.option("--no-color", is_flag=True, help="Print without colours.")
    @click.pass_obj
    @functools.wraps(verb)
    def wrapped(
        document: Document,
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
        return verb(common=CommonOptions(directory=folder, stage=stage, output=output), **rest)

    return wrapped


def api_options(verb: Verb) -> Verb:
    """Give the verb ``api``: an ``ApiOptions``."""

    @click.option("--project-id", metavar="ID", help="Scaleway project. [env: SCW_DEFAULT_PROJECT_ID]")
    @click.option("--region", metavar="NAME", help="Region. [env: SCW_DEFAULT_REGION; default: fr-par]")
    @click.option("--profile", metavar="NAME", help="Profile of Scaleway's config file. [env: SCW_PROFILE]")
    @click.option("--api-url", metavar="URL", help="The API's address. [env: SCW_API_URL]")
    @click.option("--local", is_flag=True, help="The platform on this machine, started when it is not running.")
    @functools.wraps(verb)
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
        return verb(api=options, **rest)

    return wrapped


def _checked_stage(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from fnkit.contract.names import STAGE_RULE

    if value and not STAGE_RULE.fullmatch(value):
        raise click.BadParameter(
            "a stage is 1 to 16 of a-z, 0-9 and '-', and starts with a letter or digit", context, parameter
        )
    return value
