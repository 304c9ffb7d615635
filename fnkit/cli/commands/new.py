"""``fnkit new``: a project from a template."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import UsageError

__all__ = ["new"]


@click.command()
@click.argument("target", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option("--template", default="http", show_default=True, metavar="NAME", help="What to start from.")
@click.option("--list", "list_only", is_flag=True, help="Show the templates, and make nothing.")
@common_options
@click.pass_context
def new(
    context: click.Context, common: CommonOptions, *, target: Path | None, template: str, list_only: bool
) -> int | None:
    """Make a new project that deploys as it stands."""
    from fnkit.cli.views.new import NewProjectView, TemplatesView
    from fnkit.scaffold import create_project, list_templates

    if list_only:
        common.output.result(TemplatesView(list_templates()))
        return None
    if target is None:
        raise UsageError("Say where: the project gets a folder of its own.", hint="For example: `fnkit new shop`.")
    # Relative to where the user stands, also inside another project; -C moves that place.
    start: Path = context.params["directory"] or Path()
    path = (start / target).resolve()
    files = create_project(path, template, {})
    common.output.result(NewProjectView(path=path, shown=str(start / target), template=template, files=files))
    return None
