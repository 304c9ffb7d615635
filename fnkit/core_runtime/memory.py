"""The memory that bodies take, all together, so that clients cannot use up that of the function."""

from __future__ import annotations

from typing import Final

_MIB: Final = 1024 * 1024
_SMALL_BODY_BYTES: Final = 64 * 1024
_LEAST: Final = 40 * _MIB  # one body of the largest size, and some more
_MOST: Final = 256 * _MIB
_FOR_SMALL_BODIES: Final = 16 * _MIB


class MemoryExhausted(Exception):
    """The bodies in memory take as much as they may."""


class BodyBudget:
    """Counts the bytes of bodies.

    Args:
        limit: The most that bodies may take. Small ones may take a little more, so that large ones do not lock them
            out.
    """

    def __init__(self, limit: int) -> None:
        self.used = 0
        self._limit = limit

    @classmethod
    def for_memory(cls, mebibytes: int, *, share: float = 0.25) -> BodyBudget:
        """Return a budget for a function with so much memory."""
        return cls(int(min(max(mebibytes * _MIB * share, _LEAST), _MOST)))

    def has(self, size: int, total: int) -> bool:
        """Return whether there is memory for ``size`` more bytes of a body that then has ``total``."""
        limit = self._limit + (_FOR_SMALL_BODIES if total <= _SMALL_BODY_BYTES else 0)
        return self.used + size <= limit


class BodyBytes:
    """A body, or what has arrived of it. It counts until it is cleared or collected.

    Attributes:
        content: The bytes.
    """

    def __init__(self, budget: BodyBudget) -> None:
        self.content = bytearray()
        self._budget = budget
        self._counted = 0

    def append(self, data: bytes) -> None:
        """Append a piece. Raises ``MemoryExhausted``."""
        if not self._budget.has(len(data), len(self.content) + len(data)):
            raise MemoryExhausted
        self._budget.used += len(data)
        self._counted += len(data)
        self.content += data

    def clear(self) -> None:
        """Forget the content."""
        self.content = bytearray()
        self._budget.used -= self._counted
        self._counted = 0

    __del__ = clear
