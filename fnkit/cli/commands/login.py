"""``fnkit login``: save credentials in Scaleway's configuration file."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.completion import complete_regions
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, output_options
from fnkit.errors import ApiError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fnkit.client import Endpoint

_VARIABLES: Final = {
    "SCW_ACCESS_KEY": "access_key",
    "SCW_SECRET_KEY": "secret_key",
    "SCW_DEFAULT_PROJECT_ID": "default_project_id",
    "SCW_DEFAULT_ORGANIZATION_ID": "default_organization_id",
    "SCW_DEFAULT_REGION": "default_region",
    "SCW_API_URL": "api_url",
}
"""Settings by the variables that standard input may have, as `fnkit platform env --format dotenv` prints them."""


@command()
@click.option("--profile", metavar="NAME", help="Profile to write. [env: SCW_PROFILE; default: the active one]")
@click.option("--project-id", metavar="ID", help="Default project of the profile.")
@click.option("--region", metavar="NAME", shell_complete=complete_regions, help="Default region of the profile.")
@click.option("--api-url", metavar="URL", help="URL of the API, if it is not Scaleway's.")
@click.option("--no-verify", is_flag=True, help="Save the credentials without a request to the API.")
@click.option("--yes", is_flag=True, help="Replace the credentials of a profile without asking.")
@output_options
def login(
    common: CommonOptions,
    *,
    profile: str | None,
    project_id: str | None,
    region: str | None,
    api_url: str | None,
    no_verify: bool,
    yes: bool,
) -> int | None:
    """Save credentials in Scaleway's configuration file.

    The keys are asked for on a terminal. Otherwise standard input has the secret key alone, or lines such as
    SCW_SECRET_KEY=… with SCW_ACCESS_KEY, SCW_DEFAULT_PROJECT_ID, SCW_DEFAULT_REGION and SCW_API_URL. Keys are never
    taken from the command line, where other users can see them.

    The file is ~/.config/scw/config.yaml, which Scaleway's own tools use too; only you can read it. The credentials
    are verified by a request to the API first.
    """
    from fnkit.cli.views.login import LoginView
    from fnkit.client.config_file import current_profile_name, has_secret_key, write_profile

    name = current_profile_name(os.environ, profile)
    if has_secret_key(os.environ, name) and not common.output.confirm(
        f"The profile {name} has credentials. Replace them?", yes=yes
    ):
        common.output.message("Nothing was saved.")
        return 1
    flags = {"default_project_id": project_id, "default_region": region, "api_url": api_url}
    given = {key: value for key, value in flags.items() if value}
    values = {**_read_values(common, given), **given}
    endpoint = _endpoint(values)
    verified = not no_verify and _verify(common, endpoint)
    path = write_profile(os.environ, name, values)
    for variable in ("SCW_SECRET_KEY", "SCW_DEFAULT_PROJECT_ID"):
        if os.environ.get(variable):
            common.output.warning(f"{variable} is set in the environment, which has precedence over the file.")
    common.output.result(
        LoginView(
            path=path,
            profile=name,
            project_id=endpoint.project_id,
            region=endpoint.region,
            api_url=endpoint.api_url,
            verified=verified,
        )
    )
    return None


def _endpoint(values: Mapping[str, str]) -> Endpoint:
    """Return the endpoint that the given settings alone describe.

    Raises:
        UsageError: A setting is missing or invalid.
    """
    from fnkit.client import EndpointOverrides, resolve_endpoint

    if not values.get("secret_key"):
        raise UsageError(
            "No secret key was given.",
            code="no-credentials",
            hint="Run `fnkit login` on a terminal; `fnkit login --help` says what standard input may have.",
        )
    environ = {name: values[key] for name, key in _VARIABLES.items() if key in values}
    endpoint = resolve_endpoint(EndpointOverrides(), {**environ, "SCW_CONFIG_PATH": os.devnull})
    return replace(endpoint, key_origin="the credentials that were given")


def _verify(common: CommonOptions, endpoint: Endpoint) -> bool:
    """Ask the API for a namespace, which every key that can deploy may do.

    Raises:
        ApiError: The API refuses the key, or cannot be reached.
    """
    from fnkit.client import FunctionsApi

    with common.output.progress("Verifying the credentials"), FunctionsApi(endpoint) as client:
        try:
            client.namespaces.list(name="fnkit-login", project_id=endpoint.project_id)
        except ApiError as error:
            error.hint = f"{error.hint or ''} Nothing was saved; --no-verify saves without this request.".strip()
            raise
    return True


def _read_values(common: CommonOptions, given: Mapping[str, str]) -> dict[str, str]:
    """Return what is typed or read, by setting of the file."""
    if sys.stdin.isatty():
        return _ask(given)
    from fnkit.project.dotenv import DotenvError, parse_dotenv

    text = sys.stdin.read().strip()
    if text and "=" not in text and len(text.split()) == 1:
        return {"secret_key": text}
    try:
        variables = parse_dotenv(text)
    except DotenvError as error:
        raise UsageError(
            f"Standard input cannot be read: line {error.line}: {error.reason}.",
            code="bad-credentials",
            hint="Write the secret key alone, or lines such as SCW_SECRET_KEY=….",
        ) from None
    common.output.detail(f"Read {', '.join(name for name in variables if name in _VARIABLES)}.")
    return {_VARIABLES[name]: value for name, value in variables.items() if name in _VARIABLES and value}


def _ask(given: Mapping[str, str]) -> dict[str, str]:
    from fnkit.contract.limits import REGIONS

    click.echo("Create an API key at https://console.scaleway.com/iam/api-keys", err=True)
    answers = {
        "access_key": click.prompt(
            "Access key (SCW…; empty to leave out)", default="", show_default=False, err=True
        ),
        "secret_key": click.prompt("Secret key", hide_input=True, err=True),
    }
    if "default_project_id" not in given:
        answers["default_project_id"] = click.prompt("Project ID", err=True)
    if "default_region" not in given:
        answers["default_region"] = click.prompt("Region", default=REGIONS[0], err=True)
    return {key: str(value).strip() for key, value in answers.items() if str(value).strip()}
