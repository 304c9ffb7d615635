"""The engine of this machine: instances are confined processes, forked from zygotes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fnkit.platform.data_plane.engine.engine import PooledEngine
from fnkit.platform.data_plane.local.source import LocalEngineSettings, LocalInstanceSource
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.zygote import Storage
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import Route


class LocalEngine(PooledEngine):
    """An engine that runs instances on this machine.

    Args:
        settings: Settings.
        clock: The virtual clock, which decides when instances end.
        on_exit: Called with the deployment and the reason when an instance has ended unexpectedly.

    Raises:
        OSError: The isolation level needs cgroups, and they cannot be created here.
    """

    def __init__(
        self, settings: LocalEngineSettings, clock: SyncedClock, on_exit: Callable[[Route, str], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        logs = LogWriter(settings.logs_directory, clock.now_ns, loop.time, loop.call_later)
        self._local_source = LocalInstanceSource(settings, logs)
        super().__init__(
            self._local_source,
            clock,
            logs,
            on_exit,
            scale_down=settings.scale_down,
            queue_per_instance=settings.queue_per_instance,
        )

    @property
    def storage(self) -> Storage:
        """Where the roots of instances are written to; known once one has started."""
        return self._local_source.storage
