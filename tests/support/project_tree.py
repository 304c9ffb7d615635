"""A project written into a folder from texts, and what the kit makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.errors import Problem, ProjectInvalid
from fnkit.project import Project, build_project, read_settings
from fnkit.scanner import ScanReport, scan

HANDLER = "from fnkit import function\n@function\ndef hello(event, context): ...\n"
SETTINGS = 'name = "shop"\n'


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files by their relative paths; folders are made. Returns the root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def scanned(root: Path, files: Mapping[str, str], *, import_modules: bool = False) -> ScanReport:
    """What a scan of these files finds."""
    write(root, files)
    return scan(root, sorted(root.rglob("*.py")), import_modules=import_modules, import_timeout=20)


def built(
    root: Path,
    files: Mapping[str, str],
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    host_python: tuple[int, int] = (3, 11),
) -> Project:
    """The project that these files make; ``fnkit.toml`` is added where there are no settings."""
    settings = {} if {"fnkit.toml", "pyproject.toml"} & set(files) else {"fnkit.toml": SETTINGS}
    write(root, {**settings, **files})
    report = scan(root, sorted(root.rglob("*.py")))
    return build_project(
        root, read_settings(root), report, stage=stage, available=available, host_python=host_python
    )


def problems_of(
    root: Path,
    files: Mapping[str, str],
    *,
    stage: str = "",
    available: frozenset[str] | None = None,
    host_python: tuple[int, int] = (3, 11),
) -> tuple[Problem, ...]:
    """The problems of a project; empty when it is valid."""
    try:
        built(root, files, stage=stage, available=available, host_python=host_python)
    except ProjectInvalid as invalid:
        return invalid.problems
    return ()


def places(problems: tuple[Problem, ...]) -> list[str]:
    """Each problem as ``code file:line``, in order."""
    return [f"{one.code} {one.file}:{one.line}" for one in problems]
