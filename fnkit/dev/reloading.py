"""Reloads the project when its files change, in a thread of its own."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from fnkit.dev.model import Rejected, Reloaded, rejected_because_of
from fnkit.dev.session import DevSession
from fnkit.dev.watching import watch_files
from fnkit.errors import FnkitError
from fnkit.project import Project

ReloadOutcome: TypeAlias = Reloaded | Rejected

_EMPTY_POLL_SECONDS: Final = 0.002
_STOP_SECONDS: Final = 0.3
_SETTLE_SECONDS: Final = 0.15
"""After which a file that was empty or cut off counts as saved like that. Editors write a file in several steps."""


class Reloader:
    """Watches the files of a project and reloads what changes.

    Args:
        session: The session, which has deployed the project.
        root: The project's directory.
        report: Called with each outcome, from the thread.
    """

    def __init__(self, session: DevSession, root: Path, report: Callable[[ReloadOutcome], None]) -> None:
        self._session = session
        self._root = root
        self._report = report
        self._stop = threading.Event()
        self._is_rejected = False
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Start to watch. What changed since the deploy is reloaded at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. A reload that takes longer, such as a compilation, is left alone: its platform is about to end."""
        self._stop.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._watch(self._session.included)
        except OSError as error:
            self._report(rejected_because_of(_unwatchable(error)))

    def _watch(self, included: tuple[Path, ...]) -> None:
        """Reload what changes, until the session ends or the project includes other directories."""
        for changed in watch_files(self._root, included, self._stop):
            self._wait_for_content(changed)
            self._reload()
            if self._session.included != included:
                return

    def _reload(self) -> None:
        try:
            outcome: ReloadOutcome | None = self._session.reload(self._load_settled())
        except FnkitError as error:
            outcome = rejected_because_of(error)
        if isinstance(outcome, Rejected):
            self._is_rejected = True
            self._report(outcome)
        elif outcome is not None or self._is_rejected:
            self._is_rejected = False
            functions = self._session.functions
            self._report(outcome or Reloaded(changes=(), functions=functions, seconds=0.0))

    def _wait_for_content(self, paths: Iterable[str]) -> None:
        """Wait for a moment while a changed file is empty: a program that saves it has truncated it first."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline and any(_is_empty(self._root / path) for path in paths):
            if self._stop.wait(_EMPTY_POLL_SECONDS):
                return

    def _load_settled(self) -> Project:
        """Return the project, read again after a moment if it has problems or lacks a function.

        Raises:
            FnkitError: It still has problems.
        """
        deployed = {one.name for one in self._session.functions}
        try:
            project = self._session.load()
            if deployed <= {one.name for one in project.functions}:
                return project
        except FnkitError:
            pass
        self._stop.wait(_SETTLE_SECONDS)
        return self._session.load()


def _is_empty(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _unwatchable(error: OSError) -> FnkitError:
    reason = str(error.strerror or error).rstrip(".")
    return FnkitError(
        f"The files of the project cannot be watched: {reason}.",
        code="unwatchable",
        hint="Raise the limit: sysctl fs.inotify.max_user_watches=524288. Press r to deploy changes meanwhile.",
    )
