"""``fnkit openapi``: print the OpenAPI document of the project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, allow_builds_option, common_options

if TYPE_CHECKING:
    from fnkit.invoke.openapi import FunctionDescription
    from fnkit.project import FunctionSpec, Project


@command()
@click.option("--yaml", "as_yaml", is_flag=True, help="Print YAML instead of JSON.")
@allow_builds_option
@common_options
def openapi(common: CommonOptions, *, as_yaml: bool, allow_builds: bool) -> int | None:
    """Print the OpenAPI 3.1 document of the project.

    It has the typed handlers, and the documents of applications that have one, such as FastAPI's. Their modules are
    imported in the environment of the project, without values of secrets. Functions with crons or triggers, and
    plain handlers, which have no types, are left out.
    """
    from fnkit.cli.views.openapi import OpenapiView
    from fnkit.deploy.loading import load_project
    from fnkit.invoke.openapi import join_descriptions

    project = load_project(common.directory, stage=common.stage)
    described = [one for one in project.functions if one.entry is not None and not one.crons and not one.triggers]
    descriptions = _describe(common, project, described, allow_builds=allow_builds)
    silent = [one.function.name for one in descriptions if one.document is None]
    left_out = sorted({one.name for one in project.functions} - {one.name for one in described} | set(silent))
    if left_out:
        common.output.message(f"Without a description: {', '.join(left_out)}.")
    common.output.result(OpenapiView(join_descriptions(project, descriptions), as_yaml))
    return None


def _describe(
    common: CommonOptions, project: Project, functions: list[FunctionSpec], *, allow_builds: bool
) -> list[FunctionDescription]:
    from fnkit.cli.handler_environment import environment_source
    from fnkit.invoke.openapi import describe_function

    descriptions: list[FunctionDescription] = []
    with environment_source(common, allow_builds=allow_builds) as source:
        for function in functions:
            environment = source.prepare(project, function)
            names = (*project.namespace.secrets, *function.secrets)
            values = {name: os.environ.get(name, "") for name in names}
            cache = source.cache.bundler
            descriptions.append(
                describe_function(project, function, environment, cache, values, common.output.detail)
            )
    return descriptions
