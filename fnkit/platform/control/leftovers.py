"""Folders and archives that nothing needs any more, removed once nothing can still be reading them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from fnkit.platform.control.context import ControlContext

__all__ = ["Leftovers"]

SWEEP_SECONDS: Final = 300.0
"""Real seconds after a start before folders without an owner go: an older data plane may still drain them."""


class Leftovers:
    """Removes built code, logs and archives. Instances that still answer may import from superseded code."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def now(self, path: Path) -> None:
        """Remove a folder in the background."""
        self._context.tasks.start(
            asyncio.to_thread(shutil.rmtree, path, ignore_errors=True), f"removal of {path.name}"
        )

    def later(self, path: str, seconds: float) -> None:
        """Remove a folder after real seconds, the longest that a request may still take."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

        self._context.tasks.start(wait(), f"removal of {Path(path).name}")

    def archive(self, sha256: str | None) -> None:
        """Remove an archive that no function has any more."""
        if sha256 is not None and not self._context.store.functions.count({"archive": sha256}):
            self._context.blobs.remove(sha256)

    def unused(self, function_id: str) -> None:
        """Remove what a failed build left of a function's folders, beside the one that serves."""
        record = self._context.store.functions.get(function_id)
        kept = record.serving.code if record and record.serving else None
        newest = self._context.layout.deployments / f"{function_id}-{record.generation}" if record else None
        if newest is not None and str(newest) != kept and newest.exists():
            self.now(newest)

    def sweep(self) -> None:
        """At start: remove archives nobody has, half-built folders, and, later, folders nobody refers to."""
        store, layout = self._context.store, self._context.layout
        layout.deployments.mkdir(mode=0o711, parents=True, exist_ok=True)
        for sha256 in self._context.blobs.names():
            self.archive(sha256)
        serving = {record.serving.code for record in store.functions.every(serving=1) if record.serving}
        for folder in layout.deployments.iterdir():
            if folder.name.startswith("."):
                self.now(folder)
            elif str(folder) not in serving:
                self.later(str(folder), SWEEP_SECONDS)
