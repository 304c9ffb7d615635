"""From a folder to a project: select files, scan them, read settings, build the model. Runs no user code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fnkit.bundler.selection import select_files
from fnkit.errors import ProjectError
from fnkit.project import Project, Settings, build_project, find_root, read_settings
from fnkit.project.findings import Findings
from fnkit.project.namespaces import check_stage, checked_project_name, checked_region, namespace_spec
from fnkit.scanner import ScanReport, scan

__all__ = ["Identity", "Source", "identify", "load_identity", "load_project", "project_region", "read_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """What stands in a folder, before anything is decided: settings and what the scan found, problems included."""

    root: Path
    settings: Settings
    report: ScanReport


def read_source(directory: Path, *, import_modules: bool = False) -> Source:
    """Read settings and scan the files of the project that ``directory`` belongs to.

    Raises:
        ProjectError: there is no project here, or its settings cannot be read.
        BundleError: a file cannot be part of an archive (a link out of the project, an impossible name).
    """
    root = find_root(directory) or directory
    if not root.is_dir():
        raise ProjectError(f"{directory} is not a folder.", code="no-project")
    settings = read_settings(root)
    files = select_files(root, settings.exclude)
    report = scan(root, [root / file for file in files if file.endswith(".py")], import_modules=import_modules)
    return Source(root=root, settings=settings, report=report)


def load_project(
    directory: Path,
    *,
    stage: str = "",
    import_modules: bool = False,
    available: frozenset[str] | None = None,
) -> Project:
    """Return the checked project of a folder and stage.

    available: runtimes that the platform takes; ``None`` for the recorded table's.

    Raises:
        ProjectInvalid: with all problems at once.
        ProjectError: there is no project here.
    """
    source = read_source(directory, import_modules=import_modules)
    return build_project(source.root, source.settings, source.report, stage=stage, available=available)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which project and stage this is: all that looking at it or removing it needs."""

    root: Path
    project: str
    stage: str
    namespace: str
    region: str | None


def load_identity(directory: Path, *, stage: str = "") -> Identity:
    """Return whose resources a folder speaks of, from its settings alone: its code may be broken.

    Raises:
        ProjectInvalid: a name in the settings cannot be used.
        ProjectError: there is no project here.
    """
    root = find_root(directory) or directory
    return identify(root, read_settings(root), stage)


def project_region(directory: Path, stage: str) -> str | None:
    """Return the region that the project's settings name for a stage, if they do. Raises ``ProjectError``."""
    return load_identity(directory, stage=stage).region


def identify(root: Path, settings: Settings, stage: str) -> Identity:
    """Return the names that settings give to a stage.

    Raises:
        ProjectInvalid: one of them cannot be used.
    """
    findings = Findings()
    check_stage(stage, settings, findings)
    project = checked_project_name(settings, findings)
    namespace = namespace_spec(settings, stage, findings)
    region = checked_region(settings, stage, findings)
    findings.raise_if_any()
    return Identity(root=root, project=project, stage=stage, namespace=namespace.name, region=region)
