"""``fnkit bundle`` and ``fnkit lock``: build the archives, and resolve the dependencies."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fnkit.cli.options import CommonOptions, common_options

__all__ = ["bundle"]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the archives to this directory.  [default: .fnkit/archives in the project]",
)
@click.option(
    "--target",
    type=click.Choice(["scaleway", "local"]),
    default="scaleway",
    show_default=True,
    help="Build for Scaleway or for the local platform.",
)
@common_options
def bundle(common: CommonOptions, *, names: tuple[str, ...], out: Path | None, target: str) -> int | None:
    """Build the deployment archives."""
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.sites import deploy_target_for
    from fnkit.cli.views.bundle import BundleView
    from fnkit.deploy.loading import load_project
    from fnkit.deploy.places import open_cache_directory
    from fnkit.deploy.preparing import bundle_functions, check_function_names

    site = deploy_target_for(common, target)
    project = load_project(common.directory, stage=common.stage, available=site.available_runtimes)
    wanted = frozenset(names) or None
    check_function_names(project, wanted)
    folder = out.absolute() if out is not None else project.root / ".fnkit" / "archives"
    with deploy_progress(common.output, "Bundling") as progress:
        bundles = bundle_functions(
            project, site, open_cache_directory(os.environ), wanted, progress.report, out=folder
        )
    common.output.result(BundleView(bundles))
    return None
