"""One template → one project: every file of it, or none.

Rendering happens in memory, so a fault in a template touches no disk. Writing happens in a folder of its own
beside the files' final place, which then takes that place in one rename; a folder that exists already (and is
empty) keeps its identity, and gets the finished entries moved in, which are taken out again should one fail.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from jinja2 import Environment, StrictUndefined

from fnkit.errors import UsageError
from fnkit.scaffold.catalogue import Template, find_template
from fnkit.scaffold.naming import project_name

__all__ = ["create_project"]

_RENDERED: Final = ".jinja"
_DOT: Final = "dot-"
_OWNER_ONLY: Final = 0o600

_ALLOWED_ALREADY: Final = frozenset({".git"})
"""What a folder may hold and still count as empty: a fresh clone is where many projects start."""


def create_project(directory: Path, template: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Make ``directory`` a new project; return its files, relative with ``/``, sorted.

    variables: further names for the template, over the built-in ``project`` (the name derived from the
    folder's) and ``random_key()`` (a fresh secret at each use).

    Raises:
        UsageError: ``unknown-template``; ``not-empty``, when something is there already; ``not-a-folder``.
    """
    folder = directory.absolute()
    files = _rendered(find_template(template), {"project": project_name(folder.resolve().name), **variables})
    _refuse_occupied(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        _fill(folder, files)
    else:
        with _workplace(folder.parent, folder.name) as work:
            _write(work, files)
            work.rename(folder)
    return tuple(sorted(files))


def _rendered(template: Template, variables: Mapping[str, str]) -> dict[str, str]:
    """The project's files by relative name."""
    environment = Environment(  # noqa: S701 - renders source code, not HTML
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["random_key"] = lambda: secrets.token_urlsafe(32)
    files: dict[str, str] = {}
    for path in sorted(template.folder.rglob(f"*{_RENDERED}")):
        text = environment.from_string(path.read_text(encoding="utf-8")).render(variables)
        files[_project_path(path.relative_to(template.folder))] = text
    return files


def _project_path(path: Path) -> str:
    """``dot-github/x.yml.jinja`` → ``.github/x.yml``."""
    parts = [f".{part.removeprefix(_DOT)}" if part.startswith(_DOT) else part for part in path.parts]
    return PurePosixPath(*parts).as_posix().removesuffix(_RENDERED)


def _refuse_occupied(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        raise UsageError(
            f"{folder} is a link that leads nowhere.", code="not-a-folder", hint="Choose another name."
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file.", code="not-a-folder", hint="Choose another name.")
    occupants = sorted(path.name for path in folder.iterdir() if path.name not in _ALLOWED_ALREADY)
    if occupants:
        shown = ", ".join(occupants[:3]) + (", …" if len(occupants) > 3 else "")  # noqa: PLR2004 - a glance's worth
        raise UsageError(
            f"{folder} is not empty ({shown}).",
            code="not-empty",
            hint="Choose a new folder; nothing was written.",
        )


@contextmanager
def _workplace(parent: Path, name: str) -> Iterator[Path]:
    """A folder beside the project's place, gone afterwards unless it was renamed away."""
    work = parent / f".{name[:40]}.{secrets.token_hex(4)}"
    work.mkdir()  # not mkdtemp: the project's folder gets the mode that the user's umask gives
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files; environment files hold secrets and are their owner's alone."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == ".env":
            path.touch(mode=_OWNER_ONLY)
        path.write_text(text, encoding="utf-8", newline="\n")


def _fill(folder: Path, files: Mapping[str, str]) -> None:
    """Move the finished entries into an existing folder, all or none."""
    moved: list[Path] = []
    with _workplace(folder, "fnkit-new") as work:
        _write(work, files)
        try:
            for entry in sorted(work.iterdir()):
                place = folder / entry.name
                entry.rename(place)
                moved.append(place)
        except BaseException:
            for entry in moved:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
            raise
