"""Bodies in pieces, and the bound of the memory that large bodies take together.

A body of up to 64 KiB is not counted: it is little beside its connection, and is accepted also while large bodies
have used up the memory. Pieces are at most as large as one read from a socket, so that nothing copies a large body
at once.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Iterator
from typing import Final

LARGE_BODY_BYTES: Final = 64 * 1024
"""Bodies above this size are counted, and converted in another process."""

_MAX_MEMORY: Final = 256 * 1024 * 1024
_SMALL_PIECE_BYTES: Final = 4096  # smaller pieces are merged: the object of a piece takes some 40 bytes itself


class BodyMemoryExhausted(Exception):
    """The large bodies in memory take as much as they may."""


class BodyMemory:
    """The memory of all large bodies of a gateway. ``used`` and ``limit`` are bytes."""

    def __init__(self, limit: int = _MAX_MEMORY) -> None:
        self.limit = limit
        self.used = 0

    @staticmethod
    def give_back() -> None:
        """Give freed memory back to the system. glibc keeps what lies below anything that is still in use.

        It takes 40 ms if 256 MiB were freed.
        """
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
        if trim is not None:
            trim(0)


class _Reservation:
    """The memory of one large body, from its creation until the garbage collector removes it.

    A body has many ends: it is sent, its client disconnects, its request times out. Its memory ends with its last
    reference, so the count does as well.
    """

    __slots__ = ("_memory", "_size")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._size = 0

    def extend(self, size: int) -> None:
        if self._memory.used + size > self._memory.limit:
            raise BodyMemoryExhausted
        self._memory.used += size
        self._size += size

    def release(self) -> None:
        self._memory.used -= self._size
        self._size = 0

    __del__ = release


class BodyBuffer:
    """A body, or what has arrived of it.

    Args:
        memory: The memory that it is counted in, once it is large.

    Attributes:
        pieces: The content.
        size: The length of the content in bytes.
    """

    __slots__ = ("_memory", "_reservation", "pieces", "size")

    def __init__(self, memory: BodyMemory) -> None:
        self.pieces: deque[bytes | bytearray] = deque()
        self.size = 0
        self._memory = memory
        self._reservation: _Reservation | None = None

    def append(self, data: bytes) -> None:
        """Append a piece.

        Raises:
            BodyMemoryExhausted: There is no memory for it.
        """
        self.size += len(data)
        if self.size > LARGE_BODY_BYTES:
            if self._reservation is None:
                self._reservation = _Reservation(self._memory)
                self._reservation.extend(self.size)
            else:
                self._reservation.extend(len(data))
        last = self.pieces[-1] if self.pieces else None
        if last is None or len(data) >= _SMALL_PIECE_BYTES:
            self.pieces.append(data)
        elif isinstance(last, bytearray) and len(last) < LARGE_BODY_BYTES:
            last += data
        else:
            self.pieces.append(bytearray(data))

    @property
    def is_large(self) -> bool:
        """Whether it must not be processed at once."""
        return self.size > LARGE_BODY_BYTES

    def join(self) -> bytes:
        """Return the content of a small body."""
        first = self.pieces[0] if len(self.pieces) == 1 else None
        return first if isinstance(first, bytes) else b"".join(self.pieces)

    def clear(self) -> None:
        """Forget the content. It no longer counts."""
        self.pieces.clear()
        self.size = 0
        if self._reservation is not None:
            self._reservation.release()

    def drain(self) -> Iterator[bytes]:
        """Yield and forget the pieces. The body stays counted until the iterator ends."""
        while self.pieces:
            yield bytes(self.pieces.popleft())
