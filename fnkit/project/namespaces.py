"""Validates the names of project, stage and region, and the namespace that they deploy into."""

from __future__ import annotations

import re
from typing import Final

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import STAGE_RULE
from fnkit.project.findings import Findings, did_you_mean
from fnkit.project.model import NamespaceSpec, Source
from fnkit.project.settings import NamespaceTable, Settings
from fnkit.project.variables import check_environment, check_tags

__all__ = ["check_stage", "checked_project_name", "checked_region", "namespace_spec"]

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Matches all 2,012 recorded namespace names; the API does not publish its rule."""

_NAME_MAX: Final = 63
_PROJECT_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,50}")
"""The name is part of the tag ``fnkit.project=<name>``, which has at most 64 characters."""


def checked_project_name(settings: Settings, findings: Findings) -> str:
    """Return the project's name, which must be valid within a tag."""
    if not _PROJECT_NAME.fullmatch(settings.name):
        source = Source(settings.file, settings.lines.line("name"))
        hint = "Use 1 to 50 letters, digits and any of . _ -"
        findings.add("bad-project-name", f"{settings.name[:80]!r} is not a valid project name.", hint, source)
    return settings.name


def check_stage(stage: str, settings: Settings, findings: Findings) -> None:
    """Check the names of the requested stage and of the stages in the settings."""
    for name in dict.fromkeys((*settings.table.stages, *filter(None, (stage,)))):
        if not STAGE_RULE.fullmatch(name):
            source = Source(settings.file, settings.lines.line("stages", name))
            hint = "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit."
            findings.add("bad-stage", f"{name[:80]!r} is not a valid stage name.", hint, source)


def checked_region(settings: Settings, stage: str, findings: Findings) -> str | None:
    """Return the region that the settings name for a stage, or ``None``."""
    override = settings.table.stages[stage].region if stage in settings.table.stages else None
    region, path = (settings.table.region, ("region",)) if override is None else (override, ("stages", stage))
    if region is not None and region not in REGIONS:
        hint = did_you_mean(region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        source = Source(settings.file, settings.lines.line(*path))
        findings.add("bad-region", f"There is no region {region[:80]!r}.", hint, source)
    return region


def namespace_spec(settings: Settings, stage: str, findings: Findings) -> NamespaceSpec:
    """Return the namespace of a stage.

    A shared namespace also belongs to other projects, so only its name may be set.
    """
    given = settings.table.namespace
    table = given if isinstance(given, NamespaceTable) else NamespaceTable(name=given)
    source = Source(settings.file, settings.lines.line("namespace"))
    base = table.name if table.name is not None else re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-")
    name = f"{base}-{stage}" if stage else base
    if table.shared:
        _check_shared(table, name, source, findings)
    elif not _NAME.fullmatch(name) or len(name) > _NAME_MAX:
        hint = f"Use lower-case letters, digits and dashes, at most {_NAME_MAX} including the stage."
        findings.add("bad-name", f"{name[:80]!r} is not a valid namespace name.", hint, source)
    check_environment(table.env, table.secrets, f"Namespace {name}", source, findings)
    check_tags(table.tags, f"Namespace {name}", source, findings)
    return NamespaceSpec(
        name=name,
        shared=table.shared,
        description=table.description or "",
        env=table.env,
        secrets=tuple(dict.fromkeys(table.secrets)),
        tags=tuple(dict.fromkeys(table.tags)),
        source=source,
    )


def _check_shared(table: NamespaceTable, name: str, source: Source, findings: Findings) -> None:
    if table.name is None or not name.strip():
        findings.add("bad-name", "A shared namespace requires a name.", None, source)
    own = [what for what in ("description", "env", "secrets", "tags") if getattr(table, what)]
    if own:
        message = f"Namespace {name} is shared, so this project cannot set its {' and '.join(own)}."
        findings.add("shared-namespace", message, "Set them on the functions, under defaults.", source)
