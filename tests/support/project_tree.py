"""Writes the files of a project, scans them and builds the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.errors import Problem, ProjectInvalid
from fnkit.project import Project, build_project, read_settings
from fnkit.scanner import ScanReport, scan

HANDLER = "from fnkit import function\n@function\ndef hello(event, context): ...\n"
SETTINGS = 'name = "shop"\n'


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files by their relative paths and return the root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def scan_files(root: Path, files: Mapping[str, str], *, import_modules: bool = False) -> ScanReport:
    """Write files, scan them and return the report."""
    write_files(root, files)
    return scan(root, sorted(root.rglob("*.py")), import_modules=import_modules, import_timeout=20)


def build_files(
    root: Path,
    files: Mapping[str, str],
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    needed: frozenset[str] | None = None,
    host_python: tuple[int, int] = (3, 11),
) -> Project:
    """Write files and build the project; ``fnkit.toml`` is added if they have no settings."""
    settings = {} if {"fnkit.toml", "pyproject.toml"} & set(files) else {"fnkit.toml": SETTINGS}
    write_files(root, {**settings, **files})
    report = scan(root, sorted(root.rglob("*.py")))
    return build_project(
        root,
        read_settings(root),
        report,
        stage=stage,
        available=available,
        needed=needed,
        host_python=host_python,
    )


def problems_of(
    root: Path,
    files: Mapping[str, str],
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    needed: frozenset[str] | None = None,
    host_python: tuple[int, int] = (3, 11),
) -> tuple[Problem, ...]:
    """Write files, build the project and return its problems."""
    try:
        build_files(root, files, stage=stage, available=available, needed=needed, host_python=host_python)
    except ProjectInvalid as invalid:
        return invalid.problems
    return ()


def locations(problems: tuple[Problem, ...]) -> list[str]:
    """Return each problem as ``code file:line``, in order."""
    return [f"{one.code} {one.file}:{one.line}" for one in problems]
