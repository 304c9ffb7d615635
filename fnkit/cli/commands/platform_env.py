"""``fnkit platform env``: print the settings that SDKs, ``scw``, Terraform and CI need."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fnkit.cli.commands.platform import data_dir_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError

__all__ = ["env"]


@click.command()
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["shell", "dotenv", "github", "json", "terraform"]),
    default="shell",
    show_default=True,
    help="Format for eval, a .env file, $GITHUB_ENV, scripts, or a Terraform provider.",
)
@data_dir_option
@common_options
def env(common: CommonOptions, *, data_dir: Path, output_format: str) -> None:
    """Print environment variables for other tools.

    The output contains the platform's secret key, which no other command prints as text.
    """
    from fnkit.cli.views.platform_env import PlatformEnvView
    from fnkit.platform.server.lifecycle import check_operating_system, platform_status

    check_operating_system()
    description = platform_status(data_dir)
    if not description.is_running:
        raise PlatformError(
            f"The platform in {data_dir} is not running.",
            code="platform-not-running",
            hint="Start it with `fnkit platform start --detach`.",
        )
    # Node reads a single file from this variable; replacing the user's own would break other connections.
    configured = os.environ.get("NODE_EXTRA_CA_CERTS", "") not in ("", description.ca_certificate_file)
    common.output.result(PlatformEnvView(description, output_format, node_ca_configured=configured))
