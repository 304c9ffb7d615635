"""Loads a project from its directory: selects and scans files, reads settings, builds the model.

No user code runs in this process.
"""

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
    """The settings and scan results of a directory before validation, including problems."""

    root: Path
    settings: Settings
    report: ScanReport


def read_source(directory: Path, *, import_modules: bool = False) -> Source:
    """Read the settings and scan the files of the project that contains ``directory``.

    Args:
        directory: The project's root or a directory below it.
        import_modules: Also import the modules, in a subprocess.

    Raises:
        ProjectError: There is no project, or its settings cannot be read.
        BundleError: A file cannot be part of an archive (a link out of the project, an invalid name).
    """
    root = find_root(directory) or directory
    if not root.is_dir():
        raise ProjectError(f"{directory} is not a directory.", code="no-project")
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
    """Return the validated project of a directory and stage.

    Args:
        directory: The project's root or a directory below it.
        stage: Name of the stage; empty for none.
        import_modules: Also import the modules, in a subprocess.
        available: Runtimes that the platform accepts; ``None`` for those of the recorded table.

    Raises:
        ProjectInvalid: Contains all problems at once.
        ProjectError: There is no project.
    """
    source = read_source(directory, import_modules=import_modules)
    return build_project(source.root, source.settings, source.report, stage=stage, available=available)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The names that identify a project and stage. Sufficient to inspect or destroy its resources."""

    root: Path
    project: str
    stage: str
    namespace: str
    region: str | None


def load_identity(directory: Path, *, stage: str = "") -> Identity:
    """Return the identity of a directory's project from its settings alone. Its code need not be valid.

    Raises:
        ProjectInvalid: A name in the settings is invalid.
        ProjectError: There is no project.
    """
    root = find_root(directory) or directory
    return identify(root, read_settings(root), stage)


def project_region(directory: Path, stage: str) -> str | None:
    """Return the region that the project's settings name for a stage, or ``None``.

    Raises:
        ProjectError: There is no project, or its settings are invalid.
    """
    return load_identity(directory, stage=stage).region


def identify(root: Path, settings: Settings, stage: str) -> Identity:
    """Return the identity that settings define for a stage.

    Raises:
        ProjectInvalid: A name is invalid.
    """
    findings = Findings()
    check_stage(stage, settings, findings)
    project = checked_project_name(settings, findings)
    namespace = namespace_spec(settings, stage, findings)
    region = checked_region(settings, stage, findings)
    findings.raise_if_any()
    return Identity(root=root, project=project, stage=stage, namespace=namespace.name, region=region)
