"""``fnkit new``: create a project from a template."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.cli.completion import complete_templates
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import UsageError


@command()
@click.argument("target", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option(
    "--template",
    default="http",
    show_default=True,
    metavar="NAME",
    shell_complete=complete_templates,
    help="Template to use.",
)
@click.option("--list", "list_only", is_flag=True, help="List the templates and exit.")
@common_options
def new(common: CommonOptions, *, target: Path | None, template: str, list_only: bool) -> int | None:
    """Create a new project.

    The project works as it is: `fnkit deploy --local` deploys it to the local platform.
    """
    from fnkit.cli.settings_schema import schema_file
    from fnkit.cli.views.new import NewProjectView, TemplatesView
    from fnkit.scaffold import create_project, list_templates

    if list_only:
        common.output.result(TemplatesView(list_templates()))
        return None
    if target is None:
        raise UsageError("The directory of the project is missing.", hint="For example: `fnkit new shop`.")
    # Relative to -C or the current directory, not to a project root: a project may be created inside another one.
    given = common.directory / target
    path = given.resolve()
    language = next((one.language for one in list_templates() if one.name == template), "")
    # In Python the settings are in pyproject.toml, which has a schema of its own.
    further_files = schema_file() if language != "Python" else {}
    files = create_project(path, template, {}, further_files=further_files)
    shown = given.relative_to(Path.cwd()) if given.is_relative_to(Path.cwd()) else given
    is_brief = common.output.verbosity < 0
    view = NewProjectView(path=path, shown=str(shown), template=template, files=files, is_brief=is_brief)
    common.output.result(view)
    return None
