"""Prepares what a command needs to run code of the project on this machine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fnkit.cli.build_approval import ask_before_builds
from fnkit.cli.options import CommonOptions
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fnkit.bundler.builds.permission import AllowBuildsCallback
    from fnkit.bundler.model import BundleProgress, ProgressCallback
    from fnkit.environments.model import EnvironmentCache, HandlerEnvironment
    from fnkit.project import FunctionSpec, Project
    from fnkit.toolchains.resolution import Toolchains


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFunction:
    """A function whose handler can run here.

    Attributes:
        secret_values: The value of each secret of the function and its namespace. Never shown.
        environment: What runs the handler.
    """

    project: Project
    function: FunctionSpec
    secret_values: Mapping[str, str]
    environment: HandlerEnvironment

    def __repr__(self) -> str:
        """Return a text without the secrets."""
        return f"LocalFunction({self.function.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSource:
    """What a command makes environments with.

    Attributes:
        cache: Where environments are kept.
        toolchains: The languages of this machine.
        report: Shows the progress.
        allow_builds: Asks before code of the project or of a package runs.
    """

    cache: EnvironmentCache
    toolchains: Toolchains
    report: ProgressCallback
    allow_builds: AllowBuildsCallback

    def prepare(self, project: Project, function: FunctionSpec) -> HandlerEnvironment:
        """Return the environment of a function, and make it if the cache lacks it.

        Raises:
            FnkitError: It could not be made.
        """
        from fnkit.environments.model import EnvironmentRequest
        from fnkit.environments.prepare import prepare_environment

        request = EnvironmentRequest(
            project=project,
            function=function,
            cache=self.cache,
            toolchains=self.toolchains,
            report=self.report,
            allow_builds=self.allow_builds,
        )
        return prepare_environment(request)


@contextmanager
def environment_source(common: CommonOptions, *, allow_builds: bool) -> Iterator[EnvironmentSource]:
    """Show the progress of environments that are made while the block runs.

    Raises:
        FnkitError: The cache directory cannot be created.
    """
    from fnkit.deploy.user_cache import open_cache_directory
    from fnkit.environments.model import EnvironmentCache
    from fnkit.toolchains.resolution import Toolchains

    cache = open_cache_directory(os.environ)
    with common.output.progress("Preparing") as progress:

        def show(step: BundleProgress) -> None:
            progress.update(step.text)

        yield EnvironmentSource(
            cache=EnvironmentCache(root=cache.environments, bundler=cache.bundler),
            toolchains=Toolchains(cache=cache.toolchains),
            report=show,
            allow_builds=ask_before_builds(common.output, progress, allowed=allow_builds),
        )


def prepare_function(common: CommonOptions, name: str, *, allow_builds: bool) -> LocalFunction:
    """Load the project, and make the environment of a function if the cache lacks it.

    Raises:
        UsageError: ``no-function``.
        FnkitError: The project is invalid, a secret has no value, or the environment could not be made.
    """
    from fnkit.deploy.loading import load_project
    from fnkit.project import read_secret_values

    project = load_project(common.directory, stage=common.stage)
    function = next((one for one in project.functions if one.name == name), None)
    if function is None:
        known = ", ".join(one.name for one in project.functions) or "none"
        raise UsageError(
            f"The project has no function {name}.", code="no-function", hint=f"Its functions are: {known}."
        )
    # Read only the secrets of this function; those of others may be missing on this machine.
    values = read_secret_values(replace(project, functions=(function,)), os.environ)
    with environment_source(common, allow_builds=allow_builds) as source:
        environment = source.prepare(project, function)
    for warning in environment.warnings:
        common.output.warning(warning)
    return LocalFunction(project=project, function=function, secret_values=values, environment=environment)
