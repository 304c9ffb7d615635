"""Notices changes of a project's files, through the operating system's notifications."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_STEP_MILLISECONDS: Final = 2
"""How long to wait for further changes after one: a save is often several, such as a write and a rename."""

_MAX_WAIT_MILLISECONDS: Final = 50
_TIMEOUT_MILLISECONDS: Final = 200
_IGNORED_DIRECTORIES: Final = (
    *("__pycache__", ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", ".idea", "node_modules", "vendor"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "target"),
)
_IGNORED_NAMES: Final = (
    r"\.py[cod]$",
    r"\.sw.$",
    r"~$",
    r"^\.#",
    r"^4913$",  # Vim tries whether it can create a file
    r"^\.___jb_\w+___$",
    r"^\.DS_Store$",
    r"^\.fnkit-tmp-",
)


def watch_files(root: Path, included: Collection[Path], stop: threading.Event) -> Iterator[frozenset[str]]:
    """Yield the paths that changed, relative to the project, each time some have, and nothing once it watches.

    Args:
        root: The project's directory.
        included: Directories outside of it to watch too; those that do not exist are left out. The iteration ends
            when one of them appears, disappears or is replaced: then it has to begin again.
        stop: Ends the iteration, within a moment.

    Raises:
        OSError: The files cannot be watched.
    """
    from watchfiles import BaseFilter, watch  # takes 40 ms

    class ProjectFilter(BaseFilter):
        ignore_dirs = _IGNORED_DIRECTORIES
        ignore_entity_patterns = _IGNORED_NAMES

    is_watching = False
    identities = [_identity(directory) for directory in included]
    changes = watch(
        root,
        *(directory for directory in included if directory.is_dir()),
        watch_filter=ProjectFilter(),
        step=_STEP_MILLISECONDS,
        debounce=_MAX_WAIT_MILLISECONDS,
        stop_event=stop,
        rust_timeout=_TIMEOUT_MILLISECONDS,
        yield_on_timeout=True,
        raise_interrupt=False,
    )
    try:
        for changed in changes:
            if changed or not is_watching:
                yield frozenset(os.path.relpath(path, root) for _, path in changed)
            is_watching = True
            if identities != [_identity(directory) for directory in included]:
                return
    except FileNotFoundError:  # raised if a directory disappears while the watch is set up
        if is_watching or not root.is_dir():
            raise


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return what no other directory has, or ``None`` if it does not exist."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
