"""Which subjects a pattern stands for (pure): ``*`` is one word, ``>`` at the end one or more."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["covers"]


def covers(patterns: Iterable[str], subject: str) -> bool:
    """Whether one of the patterns stands for everything that ``subject``, itself a pattern perhaps, stands for.

    >>> covers(["orders.>"], "orders.*.paid"), covers(["orders.*"], "orders.>")
    (True, False)
    """
    return any(_covers(pattern.split("."), subject.split(".")) for pattern in patterns)


def _covers(pattern: list[str], subject: list[str]) -> bool:
    for position, word in enumerate(pattern):
        if word == ">":
            return len(subject) > position
        if position >= len(subject) or subject[position] == ">":
            return False
        if word not in ("*", subject[position]):
            return False
    return len(pattern) == len(subject)
