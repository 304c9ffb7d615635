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
    from fnkit.cli.sites import site_for
    from fnkit.cli.views.bundle import BundleView
    from fnkit.deploy.loading import load_project
    from fnkit.deploy.places import cache_folder
    from fnkit.deploy.preparing import bundle_for, check_names

    site = site_for(common, target)
    project = load_project(common.directory, stage=common.stage, available=site.available)
    wanted = frozenset(names) or None
    check_names(project, wanted)
    folder = out.absolute() if out is not None else project.root / ".fnkit" / "archives"
    with deploy_progress(common.output, "Bundling") as progress:
        bundles = bundle_for(project, site, cache_folder(os.environ), wanted, progress.report, out=folder)
    common.output.result(BundleView(bundles))
    return None
