"""Dependencies shared by all groups of operations, and their background tasks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from fnkit.contract.runtimes import RUNTIME_TABLES, RuntimeTable
from fnkit.platform.control.counters import ControlCounters
from fnkit.platform.control.held_reads import HeldReads
from fnkit.platform.control.secrets import SecretStore
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.settings import DataLayout, ProcessSettings

T = TypeVar("T")
_RETRY_SECONDS: Final = 1.0
_logger = logging.getLogger(__name__)


class BackgroundTasks:
    """Tasks that continue after the request that started them. Exceptions are logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a task.

        The event loop holds only weak references to tasks, so an unreferenced task may be garbage-collected before
        it finishes (https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task).

        Args:
            coroutine: The coroutine to run.
            name: Names the task in the log.
        """
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def stop(self) -> None:
        """Cancel all running tasks and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _logger.error("%s failed", task.get_name(), exc_info=error)


async def retry_until_written(write: Callable[[], T]) -> T:
    """Call ``write`` until the database accepts it, and return its result.

    For writes that no client waits for: nobody would repeat them after an error, such as a full disk.

    Args:
        write: A function that writes to the store and can be repeated after ``sqlite3.OperationalError``.
    """
    while True:
        try:
            return write()
        except sqlite3.OperationalError as error:
            _logger.error("Writing to the database failed, retrying: %s", error)  # noqa: TRY400  no stack needed
            await asyncio.sleep(_RETRY_SECONDS)


async def wait_for_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return when one of the coroutines has ended, and cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


@dataclass(frozen=True, slots=True)
class ControlContext:
    """Dependencies of the operations, created once by ``ControlPlane``.

    Attributes:
        settings: Settings of the platform's processes.
        layout: Paths in the data folder.
        clock: Platform time.
        store: The database.
        blobs: Uploaded archives.
        secrets: Hashing and encryption of secrets.
        tasks: Tasks that continue after their request.
        counters: Counters for the metrics.
        held_reads: Reads that wait for a resource to leave a transient status.
    """

    settings: ProcessSettings
    layout: DataLayout
    clock: VirtualClock
    store: Store
    blobs: BlobStore
    secrets: SecretStore
    tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    counters: ControlCounters = field(default_factory=ControlCounters)
    held_reads: HeldReads = field(default_factory=HeldReads)

    @property
    def runtimes(self) -> RuntimeTable:
        """The runtime table selected by the settings."""
        return RUNTIME_TABLES[self.settings.runtime_table]
