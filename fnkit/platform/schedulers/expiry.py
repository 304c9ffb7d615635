"""Removes deployments that have expired."""

from __future__ import annotations

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.functions import Functions

__all__ = ["ExpiryScheduler"]

_NANOSECONDS_PER_SECOND = 10**9


class ExpiryScheduler:
    """Stops an old deployment 24 h after the deployment that was to replace it failed, as Scaleway documents.

    The next expiry is read from the store after each one. A failure that happens in the meantime expires a day
    later, while the clock sleeps at most a minute at a time, so no notification is needed.
    """

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        self._context = context
        self._functions = functions

    async def run(self) -> None:
        """Remove deployments when they expire, forever."""
        while True:
            await self._functions.expire_deployments()
            first = self._context.store.next_expiry()
            await self._context.clock.wait_until(None if first is None else first / _NANOSECONDS_PER_SECOND)
