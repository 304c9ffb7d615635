"""Where instances come from: the one thing that differs between engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fnkit.platform.data_plane.instance import Instance
from fnkit.platform.model.routing import Route


class InstanceSource(Protocol):
    """Starts instances. The scaler decides which ones, and follows each to its end.

    A start goes through ``admit``, ``start``, ``wait_until_started`` and ``on_started``, in this order.
    ``on_ended`` follows once for each instance that ``start`` has returned, however far it came.
    """

    @property
    def memory_used(self) -> int:
        """MB that instances have reserved."""

    @property
    def memory_limit(self) -> int | None:
        """MB that instances may reserve; ``None`` if a cluster decides."""

    async def admit(
        self,
        route: Route,
        *,
        is_needed: Callable[[], bool],
        is_releasing_memory: Callable[[], bool],
        evict_idle: Callable[[], bool],
    ) -> bool:
        """Wait until an instance of this deployment can be started, in a fair order.

        Args:
            route: The deployment.
            is_needed: Returns whether the start is still needed.
            is_releasing_memory: Returns whether an instance is being ended, so that its memory is about to be free.
            evict_idle: Ends the instance that has been idle longest, and returns whether there was one.

        Returns:
            Whether the start may go on: what it needs is reserved then. ``False`` if it is not needed any more.

        Raises:
            OSError: It can never be admitted. The text states why.
        """

    def retry(self) -> None:
        """Let the start that waits in ``admit`` try again.

        An instance has become idle, or a start is not needed any more.
        """

    async def start(self, route: Route, on_idle: Callable[[Instance], None]) -> Instance:
        """Start an instance after ``admit``. It need not be ready.

        Args:
            route: The deployment.
            on_idle: Called when the instance has completed a response.

        Raises:
            OSError: It could not be started, and what ``admit`` has reserved is free again. The text states why.
        """

    def adopt(self, route: Route, on_idle: Callable[[Instance], None]) -> Sequence[Instance]:
        """Return the instances of a deployment that an earlier process has started and that still run.

        They go on with ``wait_until_started``, as after ``start``.
        """

    async def wait_until_started(self, instance: Instance) -> bool:
        """Wait until the handler is imported. Return ``False`` if the instance ended instead.

        An instance that takes too long is killed.
        """

    def on_started(self, route: Route, instance: Instance) -> None:
        """Note that an instance was started and is in use."""

    def on_ended(self, route: Route, instance: Instance) -> None:
        """Note that an instance has ended, and free what was reserved for it."""

    def retire(self, route: Route) -> None:
        """Note that no instance of this deployment will be started any more. Some may still be running."""

    def prestart(self, routes: Iterable[Route]) -> None:
        """Prepare for the first instances of these deployments."""

    def prestart_interpreter(self, language: str, interpreter: str, memory: int) -> None:
        """Prepare for instances of a deployment in progress: see ``PrestartInterpreter``."""

    def discard_leftovers(self) -> None:
        """End the instances of an earlier process that no deployment has adopted."""

    def memory_usage(self, instances: Iterable[Instance]) -> int | None:
        """Return the memory that these instances use in bytes; ``None`` if it is not known."""

    def close(self) -> None:
        """End every instance now, and start no more."""

    async def wait_closed(self) -> None:
        """Wait until nothing is left of the instances, after ``close``. It may take a few seconds."""
