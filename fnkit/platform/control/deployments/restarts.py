"""Starts of deployments that serve already: with new variables of their namespace, or once a missing image is made.

Nothing is built, and the status of the function does not change. A function has at most one restart in progress; a
deployment, which replaces what serves, ends it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from fnkit.contract.enums import Status
from fnkit.errors import PlatformError
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.build_job import BuildLog
from fnkit.platform.control.deployments.programs import Programs
from fnkit.platform.control.deployments.routes import build_route
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.records import Deployment, FunctionRecord, NamespaceRecord
from fnkit.platform.model.routing import DeploymentFailed

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
"""Seconds of real time between two attempts. The pause doubles after each."""
_logger = logging.getLogger(__name__)


class _RestartFailed(Exception):
    """An attempt failed, and another one may succeed."""


class Restarts:
    """The restarts in progress.

    Args:
        context: Shared dependencies.
        link: The link to the data plane.
        programs: What instances run.
    """

    def __init__(self, context: ControlContext, link: DataPlaneLink, programs: Programs) -> None:
        self._context = context
        self._link = link
        self._programs = programs
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, record: FunctionRecord) -> asyncio.Task[None]:
        """Start the serving deployment of a stored record in the background, in place of an earlier generation.

        If its image cannot be made, this is tried again. If no instance starts, the earlier generation serves.
        """
        return self._start(record, is_served=True)

    def start_missing(self) -> None:
        """Start all serving deployments that are in no snapshot, because their image is missing."""
        for record in list(self._context.store.functions.all(serving=1)):
            self.start_if_missing(record)

    def start_if_missing(self, record: FunctionRecord) -> None:
        """Start the serving deployment of a function if its image is missing, until an instance runs."""
        if record.serving is not None and self._programs.find(record, record.serving) is None:
            self._start(record, is_served=False)

    def cancel(self, function_id: str) -> None:
        """Cancel the restart of a function, if any is in progress."""
        if (task := self._tasks.pop(function_id, None)) is not None:
            task.cancel()

    def _start(self, record: FunctionRecord, *, is_served: bool) -> asyncio.Task[None]:
        self.cancel(record.id)
        task = self._context.tasks.start(self._run(record.id, is_served=is_served), f"restart of {record.id}")
        self._tasks[record.id] = task
        task.add_done_callback(lambda done: self._on_finished(record.id, done))
        return task

    def _on_finished(self, function_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(function_id) is task:
            del self._tasks[function_id]

    async def _run(self, function_id: str, *, is_served: bool) -> None:
        """Try until it succeeds.

        Args:
            function_id: The function.
            is_served: Whether an earlier generation serves, so that a start that fails is not repeated.
        """
        pause, reported = _FIRST_PAUSE, ""
        while (found := self._find(function_id)) is not None:
            namespace, record, deployment = found
            try:
                await self._try(namespace, record, deployment, is_served=is_served)
            except _RestartFailed as failure:
                if (text := str(failure)) != reported:
                    reported = text
                    self._report(record, deployment, text)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _find(self, function_id: str) -> tuple[NamespaceRecord, FunctionRecord, Deployment] | None:
        """Return what serves now; ``None`` if nothing does, or a deployment in progress is about to replace it."""
        record = self._context.store.functions.get(function_id)
        if record is None or record.serving is None or record.status in (Status.PENDING, Status.DELETING):
            return None
        namespace = self._context.store.namespaces.get(record.namespace_id)
        return (namespace, record, record.serving) if namespace is not None else None

    async def _try(
        self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment, *, is_served: bool
    ) -> None:
        try:
            program = await self._programs.make(namespace, record, deployment)
        except PlatformError as error:
            raise _RestartFailed(f"{error.message} {error.hint or ''}") from None
        if not self._link.connected:
            return  # the next snapshot contains it
        try:
            route = build_route(self._context, program, namespace, record, deployment)
        except PlatformError as error:  # a secret cannot be decrypted, now or later
            _logger.warning("Function %s is not served: %s", record.id, error)
            return
        outcome = await self._link.start_deployment(route)
        if isinstance(outcome, DeploymentFailed) and not is_served:
            raise _RestartFailed(f"Starting an instance failed: {outcome.message}")

    def _report(self, record: FunctionRecord, deployment: Deployment, text: str) -> None:
        _logger.warning("Function %s is not served with its present settings: %s", record.id, text)
        folder = self._context.layout.logs_dir / record.id
        log = BuildLog(folder, deployment.generation, lambda: format_microseconds(self._context.clock.now_ns()))
        log.write(f"{text.rstrip()} This is tried again.")
