"""Validates the names of project, stage and region, and the namespace that they deploy into."""

from __future__ import annotations

import re
from typing import Final

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import STAGE_RULE
from fnkit.project.findings import ProblemList, did_you_mean
from fnkit.project.model import NamespaceSpec, SourceLocation
from fnkit.project.settings import NamespaceTable, Settings
from fnkit.project.variables import check_environment, check_tags

__all__ = ["check_stage", "validate_project_name", "validate_region", "build_namespace"]

_NAMESPACE_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Matches all 2,012 recorded namespace names; the API does not publish its rule."""

_NAMESPACE_NAME_MAX: Final = 63
_PROJECT_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,50}")
"""The name is part of the tag ``fnkit.project=<name>``, which has at most 64 characters."""


def validate_project_name(settings: Settings, problems: ProblemList) -> str:
    """Return the project's name, which must be valid within a tag."""
    if not _PROJECT_NAME.fullmatch(settings.name):
        source = SourceLocation(settings.file, settings.lines.line("name"))
        hint = "Use 1 to 50 letters, digits and any of . _ -"
        problems.add("bad-project-name", f"{settings.name[:80]!r} is not a valid project name.", hint, source)
    return settings.name


def check_stage(stage: str, settings: Settings, problems: ProblemList) -> None:
    """Check the names of the requested stage and of the stages in the settings."""
    for name in dict.fromkeys((*settings.table.stages, *filter(None, (stage,)))):
        if not STAGE_RULE.fullmatch(name):
            source = SourceLocation(settings.file, settings.lines.line("stages", name))
            hint = "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit."
            problems.add("bad-stage", f"{name[:80]!r} is not a valid stage name.", hint, source)


def validate_region(settings: Settings, stage: str, problems: ProblemList) -> str | None:
    """Return the region that the settings name for a stage, or ``None``."""
    override = settings.table.stages[stage].region if stage in settings.table.stages else None
    region, path = (settings.table.region, ("region",)) if override is None else (override, ("stages", stage))
    if region is not None and region not in REGIONS:
        hint = did_you_mean(region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        source = SourceLocation(settings.file, settings.lines.line(*path))
        problems.add("bad-region", f"There is no region {region[:80]!r}.", hint, source)
    return region


def build_namespace(settings: Settings, stage: str, problems: ProblemList) -> NamespaceSpec:
    """Return the namespace of a stage.

    A shared namespace also belongs to other projects, so only its name may be set.
    """
    given = settings.table.namespace
    table = given if isinstance(given, NamespaceTable) else NamespaceTable(name=given)
    source = SourceLocation(settings.file, settings.lines.line("namespace"))
    base = table.name if table.name is not None else re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-")
    name = f"{base}-{stage}" if stage else base
    if table.shared:
        _check_shared(table, name, source, problems)
    elif not _NAMESPACE_NAME.fullmatch(name) or len(name) > _NAMESPACE_NAME_MAX:
        hint = f"Use lower-case letters, digits and dashes, at most {_NAMESPACE_NAME_MAX} including the stage."
        problems.add("bad-name", f"{name[:80]!r} is not a valid namespace name.", hint, source)
    check_environment(table.env, table.secrets, f"Namespace {name}", source, problems)
    check_tags(table.tags, f"Namespace {name}", source, problems)
    return NamespaceSpec(
        name=name,
        shared=table.shared,
        description=table.description or "",
        env=table.env,
        secrets=tuple(dict.fromkeys(table.secrets)),
        tags=tuple(dict.fromkeys(table.tags)),
        source=source,
    )


def _check_shared(table: NamespaceTable, name: str, source: SourceLocation, problems: ProblemList) -> None:
    if table.name is None or not name.strip():
        problems.add("bad-name", "A shared namespace requires a name.", None, source)
    own = [what for what in ("description", "env", "secrets", "tags") if getattr(table, what)]
    if own:
        message = f"Namespace {name} is shared, so this project cannot set its {' and '.join(own)}."
        problems.add("shared-namespace", message, "Set them on the functions, under defaults.", source)
