"""``fnkit platform env``: what the SDKs, ``scw``, Terraform and CI need to talk to the platform here."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fnkit.cli.commands.platform import data_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError

__all__ = ["env"]


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["shell", "dotenv", "github", "json", "terraform"]),
    default="shell",
    show_default=True,
    help="For: eval, a .env file, $GITHUB_ENV, a script, a provider block.",
)
@data_option
@common_options
def env(common: CommonOptions, *, home: Path, form: str) -> None:
    """Print what other tools need to talk to it.

    This is the one command that shows the secret key as text.
    """
    from fnkit.cli.views.platform_env import PlatformEnvView
    from fnkit.platform.server.lifecycle import check_machine, describe

    check_machine()
    description = describe(home)
    if not description.running:
        raise PlatformError(
            f"The platform in {home} is not running.",
            code="platform-not-running",
            hint="Start it with `fnkit platform start --detach`.",
        )
    own = os.environ.get("NODE_EXTRA_CA_CERTS", "") not in ("", description.ca_certificate)
    common.output.result(PlatformEnvView(description, form, node_has_its_own=own))
