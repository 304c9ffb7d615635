"""The namespace that a project and stage deploy into (decisions 5 and 13)."""

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
"""All 2,012 recorded namespace names look like this; the API's own rule is not known."""

_NAME_MAX: Final = 63
_PROJECT_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,50}")
"""It stands in a tag, ``fnkit.project=<name>``, of at most 64 characters (decision 9)."""


def checked_project_name(settings: Settings, findings: Findings) -> str:
    """The project's name, as it may stand in a tag."""
    if not _PROJECT_NAME.fullmatch(settings.name):
        source = Source(settings.file, settings.lines.line("name"))
        hint = "1 to 50 letters, digits and any of . _ -"
        findings.add("bad-project-name", f"{settings.name[:80]!r} cannot be a project's name.", hint, source)
    return settings.name


def check_stage(stage: str, settings: Settings, findings: Findings) -> None:
    """Check the stage asked for, and those that the settings name."""
    for name in dict.fromkeys((*settings.table.stages, *filter(None, (stage,)))):
        if not STAGE_RULE.fullmatch(name):
            source = Source(settings.file, settings.lines.line("stages", name))
            hint = "1 to 16 lower-case letters, digits and dashes, starting with a letter or digit."
            findings.add("bad-stage", f"{name[:80]!r} cannot be a stage's name.", hint, source)


def checked_region(settings: Settings, stage: str, findings: Findings) -> str | None:
    """The region that settings name for a stage, or ``None``."""
    override = settings.table.stages[stage].region if stage in settings.table.stages else None
    region, path = (settings.table.region, ("region",)) if override is None else (override, ("stages", stage))
    if region is not None and region not in REGIONS:
        hint = did_you_mean(region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        source = Source(settings.file, settings.lines.line(*path))
        findings.add("bad-region", f"There is no region {region[:80]!r}.", hint, source)
    return region


def namespace_spec(settings: Settings, stage: str, findings: Findings) -> NamespaceSpec:
    """The namespace, checked. A shared one is somebody's own: only its name is ours to use."""
    given = settings.table.namespace
    table = given if isinstance(given, NamespaceTable) else NamespaceTable(name=given)
    source = Source(settings.file, settings.lines.line("namespace"))
    base = table.name if table.name is not None else re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-")
    name = f"{base}-{stage}" if stage else base
    if table.shared:
        _check_shared(table, name, source, findings)
    elif not _NAME.fullmatch(name) or len(name) > _NAME_MAX:
        hint = f"Lower-case letters, digits and dashes, at most {_NAME_MAX} with its stage."
        findings.add("bad-name", f"{name[:80]!r} cannot be a namespace's name.", hint, source)
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
        findings.add("bad-name", "A shared namespace needs its name.", None, source)
    own = [what for what in ("description", "env", "secrets", "tags") if getattr(table, what)]
    if own:
        message = f"Namespace {name} is shared, so its {' and '.join(own)} are not this project's to set."
        findings.add("shared-namespace", message, "Set them on the functions, under defaults.", source)
