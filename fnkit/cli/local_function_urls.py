"""Values of variables that hold the URL of a function, for a handler that runs in a process on this machine.

A value in the environment or a ``.env`` file wins; otherwise it is the URL on the local platform, if that runs and
the function is deployed there. Nothing is started for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.cli.suggestions import suggested_command
from fnkit.errors import FnkitError

if TYPE_CHECKING:
    from fnkit.project import FunctionSpec, Project


def with_local_urls(common: CommonOptions, api: ApiOptions, project: Project, spec: FunctionSpec) -> FunctionSpec:
    """Return a function with the URLs that are known here among its variables; warn of the others.

    Raises:
        ProjectInvalid: A ``.env`` file cannot be read.
    """
    if not spec.function_urls:
        return spec
    from fnkit.project.secrets import find_values

    values = dict(find_values(project, spec.function_urls, os.environ))
    missing = {name: function for name, function in spec.function_urls.items() if name not in values}
    if missing:
        urls = _deployed_urls(project, api.region or project.region, missing.values())
        values |= {name: urls[function] for name, function in missing.items() if function in urls}
    unset = {name: function for name, function in missing.items() if name not in values}
    if unset:
        here = replace(api, project_id=None, profile=None, api_url=None, local=True)
        common.output.warning(_describe_unset(unset, suggested_command(common, here, "deploy")))
    return replace(spec, env={**spec.env, **values})


def _describe_unset(unset: Mapping[str, str], command: str) -> str:
    variables, functions = " and ".join(sorted(unset)), " and ".join(sorted(set(unset.values())))
    is_or_are = "is" if len(unset) == 1 else "are"
    does_or_do = "does" if len(set(unset.values())) == 1 else "do"
    return (
        f"{variables} {is_or_are} not set, because {functions} {does_or_do} not run on the local platform. "
        f"`{command}` deploys the project there; a value in the environment or .env is used too."
    )


def _deployed_urls(project: Project, region: str | None, functions: Iterable[str]) -> dict[str, str]:
    """Return the URLs on the local platform by name; nothing if it does not run or does not answer."""
    from fnkit.cli.endpoints import local_endpoint
    from fnkit.client import FunctionsApi
    from fnkit.deploy.target import function_url
    from fnkit.platform.supervisor.launcher import find_running_platform

    wanted, namespace = frozenset(functions), project.namespace.name
    try:
        running = find_running_platform()
        if running is None:
            return {}
        with FunctionsApi(local_endpoint(running, region)) as client:
            listed = client.namespaces.list(name=namespace, project_id=running.project_id)
            live = [one for found in listed if found.name == namespace for one in client.functions.list(found.id)]
            info = client.platform_info()
    except FnkitError:
        return {}
    return {
        one.name: function_url(info, one.domain_name, region=one.region, namespace=namespace, function=one.name)
        for one in live
        if one.name in wanted
    }
