"""Git repositories with a project and shared code beside it. git itself is not needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from fnkit.project import Project
from tests.support.project_tree import HANDLER, build_files, write_files

PROJECT = "services/shop"


def write_repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a repository and return the folder of the project in it, ``services/shop``."""
    write_files(folder, {".git/HEAD": "ref: refs/heads/main\n", **files})
    project = folder / PROJECT
    project.mkdir(parents=True, exist_ok=True)
    return project


def project_including(
    project: Path, include: Iterable[str], files: Mapping[str, str] | None = None, *, settings: str = ""
) -> Project:
    """Write the files of a project with this setting, and return the validated project."""
    text = f'name = "shop"\ninclude = {json.dumps(list(include))}\n{settings}'
    return build_files(project, {"fnkit.toml": text, "main.py": HANDLER, **(files or {})})
