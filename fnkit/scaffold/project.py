"""Creates a project from a template: either all of its files or none.

All files are rendered in memory before any is written, so that an error in a template leaves no files. They are
written to a staging folder next to the destination, which is then renamed. An existing empty folder is not
replaced: the finished entries are moved into it, and removed again if a move fails.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.runtimes import RUNTIMES, python_runtime, python_version
from fnkit.errors import UsageError
from fnkit.scaffold.catalogue import Template, find_template
from fnkit.scaffold.naming import project_name

_TEMPLATE_SUFFIX: Final = ".jinja"
_DOT_PREFIX: Final = "dot-"
_OWNER_ONLY: Final = 0o600

_IGNORED_ENTRIES: Final = frozenset({".git"})
"""Entries of a folder that still counts as empty: many projects start as a fresh clone."""


def create_project(
    directory: Path, template: str, variables: Mapping[str, str], *, further_files: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Create a project.

    Args:
        directory: The folder of the project, which must be empty or not exist.
        template: Name of the template.
        variables: Additional variables for the template. The built-in ones are ``project``, the name derived from
            the folder's, ``python_runtime``, the runtime of this Python or the newest one, and ``random_key()``,
            which returns a new secret at each call.
        further_files: Text of files that are not part of the template, by path relative to the folder.

    Returns:
        The created files, relative to the folder, with ``/``, sorted.

    Raises:
        UsageError: The template does not exist (``unknown-template``), or the directory is not empty
            (``not-empty``) or not a folder (``not-a-folder``).
    """
    folder = directory.absolute()
    built_in = {"project": project_name(folder.resolve().name), "python_runtime": default_python_runtime()}
    files = {**_render_files(find_template(template), {**built_in, **variables}), **(further_files or {})}
    _check_empty(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        _move_into(folder, files)
    else:
        with _staging_folder(folder.parent, folder.name) as work:
            _write(work, files)
            work.rename(folder)
    return tuple(sorted(files))


def default_python_runtime() -> str:
    """Return the runtime that a new project pins, so that every machine deploys the same one.

    It is that of the running Python, which its developer has, or else the newest.
    """
    own = python_runtime(sys.version_info.major, sys.version_info.minor)
    versions = {
        version: one.name
        for one in RUNTIMES
        if one.status == RuntimeStatus.AVAILABLE and (version := python_version(one.name)) is not None
    }
    return own if own in versions.values() else versions[max(versions)]


def _render_files(template: Template, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the content of the project's files by relative path."""
    environment = Environment(  # noqa: S701 - renders source code, not HTML
        loader=FileSystemLoader(template.folder.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = {"language": template.language, "secrets": template.secrets, **variables}
    environment.globals["random_key"] = lambda: secrets.token_urlsafe(32)
    files: dict[str, str] = {}
    for folder in template.folders:
        for path in sorted(folder.rglob(f"*{_TEMPLATE_SUFFIX}")):
            text = environment.from_string(path.read_text(encoding="utf-8")).render(values)
            files[_project_path(path.relative_to(folder))] = text
    return files


def _project_path(path: Path) -> str:
    """Return the path of a rendered file: ``dot-github/x.yml.jinja`` becomes ``.github/x.yml``."""
    parts = [f".{part.removeprefix(_DOT_PREFIX)}" if part.startswith(_DOT_PREFIX) else part for part in path.parts]
    return PurePosixPath(*parts).as_posix().removesuffix(_TEMPLATE_SUFFIX)


def _check_empty(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise UsageError(f"{folder} is a broken symbolic link.", code="not-a-folder", hint="Choose another name.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file.", code="not-a-folder", hint="Choose another name.")
    occupants = sorted(path.name for path in folder.iterdir() if path.name not in _IGNORED_ENTRIES)
    if occupants:
        shown = ", ".join(occupants[:3]) + (", …" if len(occupants) > 3 else "")  # noqa: PLR2004 - the first few are enough
        raise UsageError(
            f"{folder} is not empty ({shown}).",
            code="not-empty",
            hint="Choose a new folder; nothing was written.",
        )


@contextmanager
def _staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Create a temporary folder in ``parent``, and remove it afterwards unless it was renamed."""
    work = parent / f".{name[:40]}.{secrets.token_hex(4)}"
    work.mkdir()  # mkdtemp would give the project folder mode 0700 instead of the umask's
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files. A ``.env`` file contains secrets, so only its owner can read it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == ".env":
            path.touch(mode=_OWNER_ONLY)
        path.write_text(text, encoding="utf-8", newline="\n")


def _move_into(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files to a staging folder and move its entries into an existing folder, all or none."""
    moved: list[Path] = []
    with _staging_folder(folder, "fnkit-new") as work:
        _write(work, files)
        try:
            for entry in sorted(work.iterdir()):
                destination = folder / entry.name
                entry.rename(destination)
                moved.append(destination)
        except BaseException:
            for entry in moved:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
            raise
