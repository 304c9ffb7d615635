"""Folders and archives that nothing needs any more, removed once nothing can still be reading them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.records.function import FunctionRecord

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

    def superseded(self, record: FunctionRecord, kept: str | None, seconds: float) -> None:
        """Remove a function's built code up to its generation, beside what is kept, after real seconds."""

        def remove() -> None:
            for folder in self._context.layout.deployments.glob(f"{record.id}-*"):
                number = folder.name.rpartition("-")[2]
                if str(folder) != kept and number.isdecimal() and int(number) <= record.generation:
                    shutil.rmtree(folder, ignore_errors=True)

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(remove)

        self._context.tasks.start(wait(), f"removal of older code of {record.id}")

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
