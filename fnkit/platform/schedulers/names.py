"""Ids for things that come by the thousand: UUIDs of version 4 in form, one random beginning and then a number.

A random one each costs a call of the kernel, and scatters rows all over an index.
"""

from __future__ import annotations

import itertools
import uuid

__all__ = ["Names"]


class Names:
    """One beginning's ids: 74 random bits, then 48 that count."""

    def __init__(self) -> None:
        self._beginning = str(uuid.uuid4())[:24]
        self._numbers = itertools.count()

    def next(self) -> str:
        """Return an id that nobody had before."""
        return f"{self._beginning}{next(self._numbers):012x}"
