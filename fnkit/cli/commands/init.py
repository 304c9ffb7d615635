"""``fnkit init``: make an existing folder a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import FnkitError

if TYPE_CHECKING:
    from fnkit.errors import Problem


@command()
@click.argument("target", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@common_options
@click.pass_context
def init(context: click.Context, common: CommonOptions, *, target: Path | None) -> None:
    """Make an existing folder a project.

    Settings are written to fnkit.toml, with the handlers that are found in Node, PHP, Go, Rust and unmarked Python.
    Files that exist are never changed. DIR is the folder; default: the current directory.
    """
    from fnkit.cli.settings_schema import schema_file
    from fnkit.cli.views.init import InitView
    from fnkit.project import find_root
    from fnkit.scaffold import initialize_project

    folder = (common.directory / (target or "")).resolve()
    if not folder.is_dir():
        raise click.UsageError(f"{folder} is not a directory. `fnkit new` creates one.", context)
    done = None if find_root(folder) == folder else initialize_project(folder, further_files=schema_file())
    names, problems = _scanned_functions(folder)
    if done is not None and done.is_env_committed:
        common.output.warning(".gitignore does not name .env: add it before you write secrets there.")
    common.output.result(InitView(folder, done, names, len(problems)))


def _scanned_functions(folder: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Return the functions of the project as it is now, and its problems."""
    from fnkit.deploy.loading import load_project, read_project_source
    from fnkit.errors import ProjectInvalid

    try:
        return tuple(one.name for one in load_project(folder).functions), ()
    except ProjectInvalid as error:
        problems = error.problems
    except FnkitError:
        return (), ()
    try:
        scanned = read_project_source(folder).scan_report.functions
    except FnkitError:
        return (), problems
    return tuple(one.python_name.replace("_", "-") for one in scanned), problems
