"""The memory that all instances may take together (decision 35)."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["MemoryBudget", "default_budget"]

_MIB: Final = 1024 * 1024


def default_budget() -> int:
    """Return half of this machine's memory in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """Counts the memory limits of live instances, in MB."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self, memory: int) -> bool:
        """Take this much, unless it does not fit."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def free(self, memory: int) -> None:
        """Give back what was reserved."""
        self.used -= memory
