"""Removal of directories and archives that nothing can still be reading, and checkpoints of the database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.model.records import Deployment, FunctionRecord

ORPHAN_DELAY_SECONDS: Final = 300.0
"""Seconds of real time between startup and the removal of directories that no function refers to.

A data plane of an earlier run may still serve requests from them.
"""


_BACKUP_POLL_SECONDS: Final = 1.0
_CHECKPOINT_SECONDS: Final = 2.0
"""Seconds of real time without a write after which the WAL is copied into the database."""


async def checkpoint_when_idle(context: ControlContext) -> None:
    """Copy the WAL into the database whenever nothing was written for a moment. Never returns."""
    while True:
        await asyncio.sleep(_CHECKPOINT_SECONDS)
        with suppress(sqlite3.OperationalError):  # such as a full disk; the WAL keeps everything
            context.store.checkpoint_if_idle()


class GarbageCollector:
    """Removes built code, logs and archives.

    Instances that still handle a request may import modules lazily, so code is only removed after a delay.
    """

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def remove(self, path: Path, seconds: float = 0.0) -> None:
        """Remove a directory in the background after a delay.

        Args:
            path: The directory.
            seconds: The delay in seconds of real time: the longest time that a request in progress may still take.
        """
        self._run_later(lambda: remove_tree(path), seconds, f"removal of {path.name}")

    def remove_archive(self, sha256: str | None) -> None:
        """Remove an archive unless a function still refers to it; later, if a backup is being made.

        Args:
            sha256: The archive, or ``None`` to do nothing.
        """
        if sha256 is None or self._context.store.functions.count({"archive": sha256}):
            return
        if not self._context.blobs.remove(sha256):
            self._context.tasks.start(self._remove_archive_later(sha256), f"removal of archive {sha256[:8]}")

    async def _remove_archive_later(self, sha256: str) -> None:
        await asyncio.sleep(_BACKUP_POLL_SECONDS)
        self.remove_archive(sha256)

    def remove_dependencies(self, function_id: str) -> None:
        """Remove the kept dependencies of a function, and what its builds keep, in the background."""
        self.remove(self._context.layout.caches_dir / function_id)
        for folder in self._context.layout.dependencies_dir.glob(f"{function_id}-*"):
            self.remove(folder)

    def remove_old_builds(self, record: FunctionRecord, kept: Deployment | None, seconds: float) -> None:
        """Remove the function's builds up to its current generation in the background after a delay.

        Args:
            record: The function.
            kept: The deployment whose code and edited files to keep.
            seconds: The delay in seconds of real time.
        """
        kept_paths = set() if kept is None else {kept.code, kept.edits}

        def remove() -> None:
            for folder in self._context.layout.deployments_dir.glob(f"{record.id}-*"):
                number = folder.name.rpartition("-")[2]
                if str(folder) not in kept_paths and number.isdecimal() and int(number) <= record.generation:
                    remove_tree(folder)

        self._run_later(remove, seconds, f"removal of older code of {record.id}")

    def collect(self) -> None:
        """Remove unreferenced archives and incomplete builds, and later unreferenced builds. Call at startup."""
        store, layout = self._context.store, self._context.layout
        layout.deployments_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for sha256 in self._context.blobs.hashes():
            self.remove_archive(sha256)
        deployments = [record.serving for record in store.functions.all(serving=1) if record.serving]
        serving = {path for one in deployments for path in (one.code, one.edits)}
        for folder in layout.deployments_dir.iterdir():
            if folder.name.startswith("."):
                self.remove(folder)
            elif str(folder) not in serving:
                self.remove(folder, ORPHAN_DELAY_SECONDS)
        if layout.dependencies_dir.is_dir():
            for folder in layout.dependencies_dir.iterdir():
                if store.functions.get(folder.name.rpartition("-")[0]) is None:  # also what is incomplete
                    self.remove(folder)
        self._collect_caches()

    def _collect_caches(self) -> None:
        with suppress(FileNotFoundError):
            for folder in self._context.layout.caches_dir.iterdir():
                if self._context.store.functions.get(folder.name) is None:
                    self.remove(folder)

    def _run_later(self, remove: Callable[[], object], seconds: float, name: str) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(remove)

        self._context.tasks.start(wait(), name)
