"""Loads a project from its directory: selects and scans files, reads settings, builds the model.

No user code runs in this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fnkit.bundler.files.selection import select_files
from fnkit.errors import BundleError, ProjectError
from fnkit.project import Project, Settings, build_project, find_root, read_settings
from fnkit.project.include_setting import read_included
from fnkit.project.problems import ProblemList
from fnkit.project.validation import build_namespace, check_stage, validate_project_name, validate_region
from fnkit.scanner import ScanReport, scan


@dataclass(frozen=True, slots=True)
class ProjectSource:
    """The settings and scan results of a directory before validation, including problems."""

    root: Path
    settings: Settings
    scan_report: ScanReport


def read_project_source(directory: Path, *, import_modules: bool = False) -> ProjectSource:
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
    problems = ProblemList()
    included = read_included(root, settings, problems)
    try:
        files = select_files(root, settings.table.exclude, included)
    except BundleError:
        problems.raise_if_any()  # a link may lead to what could not be included
        raise
    report = scan(
        root,
        [root / file for file in files if file.endswith(".py")],
        included={one.name: one.directory for one in included},
        import_modules=import_modules,
    )
    return ProjectSource(root=root, settings=settings, scan_report=report)


def load_project(
    directory: Path,
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    needed: frozenset[str] | None = None,
    deployed: Mapping[str, str] = MappingProxyType({}),
) -> Project:
    """Return the validated project of a directory and stage.

    Args:
        directory: The project's root or a directory below it.
        stage: Name of the stage; empty for none.
        available: Runtimes that the platform accepts; ``None`` for those of the recorded table.
        needed: The functions whose runtimes must be available; ``None`` for all.
        deployed: Runtimes of deployed functions by name, which functions that name none keep.

    Raises:
        ProjectInvalid: Contains all problems at once.
        ProjectError: There is no project.
    """
    source = read_project_source(directory)
    return build_project(
        source.root,
        source.settings,
        source.scan_report,
        stage=stage,
        available=available,
        needed=needed,
        deployed=deployed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectIdentity:
    """The names that identify a project and stage. Sufficient to inspect or destroy its resources."""

    root: Path
    project: str
    stage: str
    namespace: str
    region: str | None


def load_identity(directory: Path, *, stage: str = "") -> ProjectIdentity:
    """Return the identity of a directory's project from its settings alone. Its code need not be valid.

    Raises:
        ProjectInvalid: A name in the settings is invalid.
        ProjectError: There is no project.
    """
    root = find_root(directory) or directory
    settings = read_settings(root)
    findings = ProblemList()
    check_stage(stage, settings, findings)
    project = validate_project_name(settings, findings)
    namespace = build_namespace(settings, stage, findings)
    region = validate_region(settings, stage, findings)
    findings.raise_if_any()
    return ProjectIdentity(root=root, project=project, stage=stage, namespace=namespace.name, region=region)
