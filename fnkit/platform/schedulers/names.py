"""Generates unique ids for objects that are created thousands of times per second."""

from __future__ import annotations

import itertools
import uuid

__all__ = ["IdGenerator"]


class IdGenerator:
    """Generates ids in the form of version 4 UUIDs: a random prefix, which is chosen once, and a 48-bit counter.

    A random id each time would cost a system call, and its rows would be scattered over the whole index of the
    table.
    """

    def __init__(self) -> None:
        self._prefix = str(uuid.uuid4())[:24]
        self._counter = itertools.count()

    def next(self) -> str:
        """Return a new id."""
        return f"{self._prefix}{next(self._counter):012x}"
