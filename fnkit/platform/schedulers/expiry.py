"""Ends deployments that outlived a failed one by 24 h (published: both versions are removed then)."""

from __future__ import annotations

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.functions import Functions

__all__ = ["ExpiryScheduler"]

_NANOSECONDS = 10**9


class ExpiryScheduler:
    """Looks at the store's next expiry; a failure that comes later is a day away, a look is a minute."""

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        self._context = context
        self._functions = functions

    async def run(self) -> None:
        """End what expires, for ever."""
        while True:
            await self._functions.expire()
            first = self._context.store.next_expiry()
            await self._context.clock.wait_until(None if first is None else first / _NANOSECONDS)
