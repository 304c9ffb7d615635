"""``fnkit lock``: resolve the dependencies and write the lock files."""

from __future__ import annotations

from typing import Literal

import click

from fnkit.cli.options import CommonOptions, common_options

__all__ = ["lock"]


@click.command()
@click.option("--upgrade", is_flag=True, help="Upgrade to the newest versions that the requirements allow.")
@click.option(
    "--backend",
    type=click.Choice(["uv", "pip-tools"]),
    default="uv",
    show_default=True,
    help="Resolver to use. pip-tools requires an interpreter of the runtime's version on this machine.",
)
@click.option(
    "--target",
    type=click.Choice(["scaleway", "local"]),
    default="scaleway",
    show_default=True,
    help="Resolve for Scaleway or for the local platform.",
)
@common_options
def lock(common: CommonOptions, *, upgrade: bool, backend: Literal["uv", "pip-tools"], target: str) -> int | None:
    """Resolve dependencies and write the lock files."""
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.sites import deploy_target_for
    from fnkit.cli.views.lock import LockView
    from fnkit.deploy.loading import load_project
    from fnkit.deploy.preparing import lock_requirements

    site = deploy_target_for(common, target)
    project = load_project(common.directory, stage=common.stage, available=site.available_runtimes)
    with deploy_progress(common.output, "Locking") as progress:
        locks = lock_requirements(project, site, progress.report, upgrade=upgrade, backend=backend)
    common.output.result(LockView(locks))
    return None
