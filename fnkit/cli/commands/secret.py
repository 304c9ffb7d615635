"""``fnkit secret``: list, set, unset."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_secrets
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options
from fnkit.errors import FnkitError, NotFoundError, UsageError

if TYPE_CHECKING:
    from fnkit.project import Project
    from fnkit.project.secrets import SecretOrigin

SECRET_VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": (f"{__name__}:list_secrets", "List the names of secrets, and where their values come from."),
    "set": (f"{__name__}:set_value", "Set the value of a secret in a .env file."),
    "unset": (f"{__name__}:unset", "Remove the value of a secret from a .env file."),
}


@click.group(cls=LazyGroup, verbs=SECRET_VERBS)
def secret() -> None:
    """Manage the secrets of the project."""


def _check_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from fnkit.project.validation import secret_name_problem

    problem = secret_name_problem(value)
    if problem is not None:
        raise click.BadParameter(problem, context, parameter)
    return value


@command()
@click.option("--deployed", is_flag=True, help="Also show which deployed functions have each secret.")
@api_options
@common_options
def list_secrets(common: CommonOptions, api: ApiOptions, *, deployed: bool) -> int | None:
    """List the names of secrets, and where their values come from.

    A value comes from the environment, else from .env.<stage>, else from .env; the next deploy sends it. Values are
    never shown. The exit code is 1 if a secret that the code declares has no value. Only --deployed asks the API.
    """
    from fnkit.cli.views.secret import SecretsView
    from fnkit.project.secrets import locate_secrets

    project = _load(common)
    secrets = locate_secrets(project, os.environ)
    live = _deployed_secrets(common, api) if deployed else None
    common.output.result(SecretsView(secrets, live))
    return 1 if any(one.is_declared and one.origin is None for one in secrets) else None


@command("set")
@click.argument("name", callback=_check_name, shell_complete=complete_secrets)
@common_options
def set_value(common: CommonOptions, *, name: str) -> None:
    """Set the value of a secret in a .env file.

    The value is asked for on a terminal, and read from standard input otherwise; a line end after it is not part of
    it. It is written to .env, or with --stage to .env.<stage>, which only you can read. `fnkit deploy` sends it to
    the functions that declare the secret.
    """
    from fnkit.cli.views.secret import SecretChangeView
    from fnkit.deploy.dotenv_file import is_ignored_by_git, set_secret
    from fnkit.project.secrets import ENVIRONMENT, dotenv_files

    root = _root(common)
    file = dotenv_files(common.stage)[0]
    set_secret(root, file, name, _read_value(common, name))
    if not is_ignored_by_git(root, file):
        common.output.warning(f"git does not ignore {file}: add it to .gitignore, so that it is not committed.")
    one = _located(common, name)
    if one is not None and one.origin == ENVIRONMENT:
        common.output.warning(f"{name} is also set in the environment, which has precedence.")
    if one is not None and not one.is_declared:
        common.output.warning(f'No function declares it. Declare it with secrets=["{name}"].')
    common.output.result(SecretChangeView(name, file, "set"))


@command()
@click.argument("name", callback=_check_name, shell_complete=complete_secrets)
@common_options
def unset(common: CommonOptions, *, name: str) -> None:
    """Remove the value of a secret from a .env file.

    It is removed from .env, or with --stage from .env.<stage>. What is deployed does not change: a deploy removes
    secrets that the code no longer declares.
    """
    from fnkit.cli.views.secret import SecretChangeView
    from fnkit.deploy.dotenv_file import unset_secret
    from fnkit.project.secrets import dotenv_files

    file = dotenv_files(common.stage)[0]
    if not unset_secret(_root(common), file, name):
        raise NotFoundError(
            f"{file} has no value for {name}.",
            code="no-such-secret",
            hint="`fnkit secret list` shows where values come from.",
        )
    one = _located(common, name)
    if one is not None and one.origin is not None:
        common.output.warning(f"{name} still has a value, from {one.shown_origin}.")
    elif one is not None and one.is_declared:
        common.output.warning(f"{name} has no value now, and a function declares it: deploys fail without one.")
    common.output.result(SecretChangeView(name, file, "unset"))


def _read_value(common: CommonOptions, name: str) -> str:
    """Ask for a value without showing it, or read it from standard input.

    Raises:
        UsageError: ``bad-secret-value``: standard input is empty or is not UTF-8.
    """
    if sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, err=True))
    try:
        value = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(
            f"The value of {name} is not UTF-8 text.", code="bad-secret-value", hint="Encode it as base64."
        ) from None
    common.output.detail(f"Read the value of {name} from standard input.")
    if not value:
        raise UsageError(
            f"No value of {name} was given.",
            code="bad-secret-value",
            hint=f"Write it to standard input: `printf %s … | fnkit secret set {name}`, or use a terminal.",
        )
    return value.removesuffix("\n").removesuffix("\r")


def _load(common: CommonOptions) -> Project:
    from fnkit.deploy.loading import load_project

    return load_project(common.directory, stage=common.stage)


def _root(common: CommonOptions) -> Path:
    from fnkit.deploy.loading import load_identity

    return load_identity(common.directory, stage=common.stage).root


def _located(common: CommonOptions, name: str) -> SecretOrigin | None:
    """Return where a value comes from; ``None`` if it has none and nothing declares it, or the code is invalid."""
    from fnkit.project.secrets import locate_secrets

    try:
        secrets = locate_secrets(_load(common), os.environ)
    except FnkitError:
        return None
    return next((one for one in secrets if one.name == name), None)


def _deployed_secrets(common: CommonOptions, api: ApiOptions) -> dict[str, tuple[str, ...]]:
    """Return the deployed functions that have each secret, themselves or by their namespace."""
    from fnkit.cli.endpoints import open_api
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        deployed = read_deployed_namespace(client, identity.namespace)
    of_namespace = [one.key for one in deployed.namespace.secret_environment_variables]
    found: dict[str, list[str]] = {}
    for function in deployed.functions:
        for key in dict.fromkeys([*of_namespace, *(one.key for one in function.secret_environment_variables)]):
            found.setdefault(key, []).append(function.name)
    return {key: tuple(names) for key, names in found.items()}
