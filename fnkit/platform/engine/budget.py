"""The memory that all instances together may use."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["MemoryBudget", "default_memory_budget"]

_MIB: Final = 1024 * 1024


def default_memory_budget() -> int:
    """Return half of the memory of this machine, in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """Sums the memory limits of live instances, in MB. A limit counts in full, whatever an instance uses."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self, memory: int) -> bool:
        """Reserve this much. Return ``False`` if it exceeds the budget."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def release(self, memory: int) -> None:
        """Return memory that was reserved."""
        self.used -= memory
