"""``fnkit scan``: show the functions and problems of the project."""

from __future__ import annotations

import os

import click

from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import ProjectInvalid


@command()
@click.option(
    "--import",
    "import_modules",
    is_flag=True,
    help="Import modules that cannot be read statically, in a child process with a time limit.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the settings, for editors, and exit.")
@common_options
def scan(common: CommonOptions, *, import_modules: bool, schema: bool) -> int | None:
    """Show the functions and problems of the project."""
    from fnkit.bundler.import_check import check_imports
    from fnkit.cli.settings_schema import schema_text
    from fnkit.cli.views.scan import ScanView, SchemaView, row_from_declarations, row_from_spec
    from fnkit.deploy.loading import read_project_source
    from fnkit.deploy.user_cache import open_cache_directory
    from fnkit.project import build_project

    if schema:
        common.output.result(SchemaView(schema_text()))
        return None
    source = read_project_source(common.directory, import_modules=import_modules)
    try:
        project = build_project(source.root, source.settings, source.scan_report, stage=common.stage)
    except ProjectInvalid as invalid:
        # An invalid project has no checked functions, so show the arguments of the decorators.
        functions = tuple(row_from_declarations(function) for function in source.scan_report.functions)
        common.output.result(ScanView(source.root, functions, invalid.problems))
        return invalid.exit_code
    checked = check_imports(project, open_cache_directory(os.environ).bundler)
    rows = tuple(row_from_spec(spec) for spec in project.functions)
    common.output.result(ScanView(source.root, rows, checked.problems, checked.notes))
    return ProjectInvalid.exit_code if checked.problems else None
