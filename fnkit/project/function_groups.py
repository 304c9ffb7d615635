"""Gives functions the dependency groups that decorators and settings name, and reports names that are wrong.

The groups of a function are those of the project's and the stage's ``defaults``, of its own declaration and of the
stage's ``functions.<name>``, together. Defaults are for Python functions only; a function in another language that
names groups itself is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from fnkit.project.declarations import DeclaredFunction
from fnkit.project.dependency_groups import GroupTable, read_group, read_group_table, unknown_group_hint
from fnkit.project.model import DependencyGroup, FunctionSpec, SourceLocation
from fnkit.project.problems import ProblemList
from fnkit.project.runtimes import runtime_language
from fnkit.project.settings import Settings, StageTable


@dataclass(frozen=True, slots=True)
class _NamedGroups:
    """The groups that one setting names.

    Attributes:
        subject: Start of messages about them.
        names: As they are written.
    """

    subject: str
    names: tuple[str, ...]
    source: SourceLocation


def assign_groups(
    root: Path,
    settings: Settings,
    stage: str,
    functions: Sequence[tuple[DeclaredFunction, FunctionSpec]],
    problems: ProblemList,
) -> tuple[list[FunctionSpec], tuple[DependencyGroup, ...]]:
    """Return the functions with their groups, and all groups that a Python function uses in any stage.

    Args:
        root: The project folder.
        settings: The settings.
        stage: Name of the stage, or ``""`` for the default stage.
        functions: Each declared function with its specification.
        problems: Receives the problems.
    """
    own = (named for function, _ in functions for named in _own_names(function, settings))
    if next(own, next(_default_names(settings), None)) is None:
        return [spec for _, spec in functions], ()
    table = read_group_table(root)
    for named in _default_names(settings):
        _check_names(named, table, problems)
    specs = [_with_groups(function, spec, settings, stage, table, problems) for function, spec in functions]
    used = sorted({name for spec in specs for name in spec.locked_groups})
    return specs, tuple(read_group(root, table, name, problems) for name in used)


def _with_groups(
    function: DeclaredFunction,
    spec: FunctionSpec,
    settings: Settings,
    stage: str,
    table: GroupTable,
    problems: ProblemList,
) -> FunctionSpec:
    language = runtime_language(spec.runtime)
    own = list(_own_names(function, settings))
    if language != "Python":
        for named in own if language else ():
            message = f"{named.subject} is not a Python function, so it cannot have dependency groups."
            hint = "Remove groups; its dependencies are those that its own package manager installs."
            problems.add("groups-language", message, hint, named.source)
        return spec
    for named in own:
        _check_names(named, table, problems)
    stages = dict.fromkeys(("", stage, *settings.table.stages))
    by_stage = {one: _groups_in_stage(function, settings, one, table) for one in stages}
    return replace(
        spec, groups=tuple(sorted(by_stage[stage])), locked_groups=tuple(sorted(set().union(*by_stage.values())))
    )


def _groups_in_stage(function: DeclaredFunction, settings: Settings, stage: str, table: GroupTable) -> set[str]:
    """Return the normalized names of a Python function's groups, without those that do not exist."""
    overrides = settings.table.stages.get(stage, StageTable())
    own = overrides.functions.get(function.name)
    names = (
        *settings.table.defaults.groups,
        *overrides.defaults.groups,
        *(function.declaration.groups or ()),
        *(own.groups if own is not None else ()),
    )
    return {str(canonicalize_name(name)) for name in names} & set(table.names)


def _default_names(settings: Settings) -> Iterator[_NamedGroups]:
    """Yield the groups of the defaults of the project and of all stages."""
    if settings.table.defaults.groups:
        yield _NamedGroups("defaults", settings.table.defaults.groups, settings.location("defaults", "groups"))
    for stage, table in settings.table.stages.items():
        if table.defaults.groups:
            place = settings.location("stages", stage, "defaults", "groups")
            yield _NamedGroups(f"defaults of stage {stage}", table.defaults.groups, place)


def _own_names(function: DeclaredFunction, settings: Settings) -> Iterator[_NamedGroups]:
    """Yield the groups that a function's own declaration and the stages name for it."""
    if function.declaration.groups:
        yield _NamedGroups(function.name, function.declaration.groups, function.declared.of("groups"))
    for stage, table in settings.table.stages.items():
        own = table.functions.get(function.name)
        if own is not None and own.groups:
            place = settings.location("stages", stage, "functions", function.name, "groups")
            yield _NamedGroups(f"{function.name} in stage {stage}", own.groups, place)


def _check_names(named: _NamedGroups, table: GroupTable, problems: ProblemList) -> None:
    for name in _unknown(named.names, table):
        message = f"{named.subject}: pyproject.toml has no dependency group {name[:80]!r}."
        problems.add("unknown-group", message, unknown_group_hint(name[:80], table), named.source)


def _unknown(names: Iterable[str], table: GroupTable) -> Iterator[str]:
    return (name for name in dict.fromkeys(names) if str(canonicalize_name(name)) not in table.names)
