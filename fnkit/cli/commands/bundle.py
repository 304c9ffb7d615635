"""``fnkit bundle`` and ``fnkit lock``: build the archives, and resolve the dependencies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import click

from fnkit.cli.build_approval import ask_before_builds
from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, OptionDecorator, allow_builds_option, common_options


def _target_option(text: str) -> OptionDecorator:
    kind = click.Choice(["scaleway", "local"])
    return click.option("--target", type=kind, default="scaleway", show_default=True, help=text)


@command()
@click.option("--upgrade", is_flag=True, help="Upgrade to the newest versions that the requirements allow.")
@click.option(
    "--backend",
    type=click.Choice(["uv", "pip-tools"]),
    default="uv",
    show_default=True,
    help="Resolver to use. pip-tools requires an interpreter of the runtime's version on this machine.",
)
@_target_option("Resolve for Scaleway or for the local platform.")
@allow_builds_option
@common_options
def lock(
    common: CommonOptions, *, upgrade: bool, backend: Literal["uv", "pip-tools"], target: str, allow_builds: bool
) -> int | None:
    """Resolve dependencies and write the lock files."""
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import deploy_target_for
    from fnkit.cli.views.bundle import LockView
    from fnkit.deploy.loading import load_project
    from fnkit.deploy.pipeline import lock_requirements

    site = deploy_target_for(common, target)
    project = load_project(common.directory, stage=common.stage, available=site.available_runtimes)
    with deploy_progress(common.output, "Locking") as progress:
        locks = lock_requirements(
            project,
            site,
            progress.report,
            upgrade=upgrade,
            backend=backend,
            allow_builds=ask_before_builds(common.output, progress, allowed=allow_builds),
        )
    common.output.result(LockView(locks))
    return None


@command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_functions)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the archives to this directory.  [default: .fnkit/archives in the project]",
)
@_target_option("Build for Scaleway or for the local platform.")
@allow_builds_option
@common_options
def bundle(
    common: CommonOptions, *, names: tuple[str, ...], out: Path | None, target: str, allow_builds: bool
) -> int | None:
    """Build the deployment archives."""
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import deploy_target_for
    from fnkit.cli.views.bundle import BundleView
    from fnkit.deploy.loading import load_project
    from fnkit.deploy.pipeline import bundle_functions, check_function_names
    from fnkit.deploy.user_cache import open_cache_directory

    site = deploy_target_for(common, target)
    project = load_project(common.directory, stage=common.stage, available=site.available_runtimes)
    wanted = frozenset(names) or None
    check_function_names(project, wanted)
    folder = out.absolute() if out is not None else project.root / ".fnkit" / "archives"
    with deploy_progress(common.output, "Bundling") as progress:
        bundles = bundle_functions(
            project,
            site,
            open_cache_directory(os.environ),
            wanted,
            progress.report,
            allow_builds=ask_before_builds(common.output, progress, allowed=allow_builds),
            out=folder,
        )
    common.output.result(BundleView(bundles))
    return None
