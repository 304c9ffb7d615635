"""The memory budget of a data plane: what instances and deployment zygotes may use together.

A reservation is the memory limit of an instance in full, whatever it uses: an instance that reaches its limit must
not take memory that another one was promised.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

__all__ = ["MemoryBudget", "default_memory_budget"]

_MIB: Final = 1024 * 1024


def default_memory_budget() -> int:
    """Return half of the memory of this machine, in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """Sums reservations, and tells the next start in line when it may try again.

    Attributes:
        limit: MB that may be reserved.
        used: MB that are reserved.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiter: asyncio.Future[None] | None = None

    def reserve(self, memory: int) -> bool:
        """Reserve this much. Return ``False`` if it exceeds the budget."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def release(self, memory: int) -> None:
        """Return memory that was reserved."""
        self.used -= memory
        self.retry()

    def retry(self) -> None:
        """Let the start that waits for memory try again, because something has changed that it depends on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait_for_retry(self) -> None:
        """Wait for ``retry``. Only one caller may wait at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
