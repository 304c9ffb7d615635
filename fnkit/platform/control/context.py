"""What every group of operations works with: the composition root makes one and hands it round."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, TypeVar

from fnkit.contract.runtimes import RUNTIME_TABLES, RuntimeTable
from fnkit.platform.clock import PlatformClock
from fnkit.platform.control.metering import ControlMeter
from fnkit.platform.control.secrets import SecretKeeper
from fnkit.platform.layout import Layout, ProcessSettings
from fnkit.platform.store.blobs import Blobs
from fnkit.platform.store.database import Store

__all__ = ["BackgroundTasks", "ControlContext", "persistently"]

T = TypeVar("T")
_AGAIN_SECONDS: Final = 1.0
_logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Work that outlives the request that began it. A fault in one is logged, never lost."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Begin the work and keep it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def stop(self) -> None:
        """Cancel what still runs, and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _logger.error("%s failed", task.get_name(), exc_info=error)


async def persistently(write: Callable[[], T]) -> T:
    """Do a write that no client waits for, again and again until the disk takes it."""
    while True:
        try:
            return write()
        except sqlite3.OperationalError as error:
            _logger.error("The store does not take a write, trying again: %s", error)  # noqa: TRY400  no stack needed
            await asyncio.sleep(_AGAIN_SECONDS)


def _nobody(_id: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class ControlContext:
    """The platform's parts. ``cron_changed`` is called with a cron's id after each change of it, also its end."""

    settings: ProcessSettings
    layout: Layout
    clock: PlatformClock
    store: Store
    blobs: Blobs
    secrets: SecretKeeper
    tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    meter: ControlMeter = field(default_factory=ControlMeter)
    cron_changed: Callable[[str], None] = _nobody

    @property
    def runtimes(self) -> RuntimeTable:
        """The runtime table in force."""
        return RUNTIME_TABLES[self.settings.runtime_table]
