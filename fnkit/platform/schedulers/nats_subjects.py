"""Matching of subjects: ``*`` stands for one token, a final ``>`` for one or more."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["subject_matches"]


def subject_matches(patterns: Iterable[str], subject: str) -> bool:
    """Return whether one of the patterns matches every subject that ``subject``, which may be a pattern, matches.

    >>> subject_matches(["orders.>"], "orders.*.paid"), subject_matches(["orders.*"], "orders.>")
    (True, False)
    """
    return any(_matches(pattern.split("."), subject.split(".")) for pattern in patterns)


def _matches(pattern: list[str], subject: list[str]) -> bool:
    for position, part in enumerate(pattern):
        if part == ">":
            return len(subject) > position
        if position >= len(subject) or subject[position] == ">":
            return False
        if part not in ("*", subject[position]):
            return False
    return len(pattern) == len(subject)
