"""Variables that hold the URL of a function: splits them from constants, and checks that the functions exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fnkit.authoring.function_url import FunctionUrl
from fnkit.project.declarations import DeclaredFunction, declared_env
from fnkit.project.model import SourceLocation
from fnkit.project.problems import ProblemList, did_you_mean
from fnkit.project.settings import FunctionUrlTable, Settings

_MAX_NAMES_SHOWN: Final = 10


def constants_of(env: Mapping[str, str | FunctionUrl]) -> dict[str, str]:
    """Return the variables whose values are known."""
    return {name: value for name, value in env.items() if isinstance(value, str)}


def function_urls_of(env: Mapping[str, str | FunctionUrl]) -> dict[str, str]:
    """Return the variables that hold the URL of a function, each with the function's name."""
    return {name: value.function for name, value in env.items() if isinstance(value, FunctionUrl)}


def check_function_urls(settings: Settings, declared: Iterable[DeclaredFunction], problems: ProblemList) -> None:
    """Check that each ``url_of``, in the settings of every stage too, names a function of the project."""
    declared = list(declared)
    names = [function.name for function in declared]
    for variable, function, source in (*_in_decorators(declared), *_in_settings(settings)):
        if function not in names:
            known = ", ".join(names[:_MAX_NAMES_SHOWN]) or "none"
            hint = did_you_mean(function, names) or f"The functions of this project are: {known}."
            message = f"{variable} is the URL of {function[:80]!r}, but there is no such function."
            problems.add("unknown-function", message, hint, source)


def _in_decorators(declared: Iterable[DeclaredFunction]) -> Iterator[tuple[str, str, SourceLocation]]:
    for function in declared:
        if function.table_index is None:
            urls = function_urls_of(function.declaration.env or {})
            yield from ((variable, name, function.declared.of("env")) for variable, name in urls.items())


def _in_settings(settings: Settings) -> Iterator[tuple[str, str, SourceLocation]]:
    for path, env in _env_tables(settings):
        for variable, name in function_urls_of(declared_env(env)).items():
            yield variable, name, settings.location(*path, "env", variable)


def _env_tables(
    settings: Settings,
) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, str | FunctionUrlTable]]]:
    table = settings.table
    yield ("defaults",), table.defaults.env
    for index, function in enumerate(table.function):
        yield ("function", index), function.env
    for name, stage in table.stages.items():
        yield ("stages", name), stage.env
        yield ("stages", name, "defaults"), stage.defaults.env
        for function_name, overrides in stage.functions.items():
            yield ("stages", name, "functions", function_name), overrides.env
