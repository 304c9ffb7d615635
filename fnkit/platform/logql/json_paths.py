"""Parses paths to JSON fields, such as ``request.headers["User-Agent"][0]``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["parse_json_path"]

_PATH_STEP: Final = re.compile(
    r"""\s*(?:(?P<dot>\.)?(?P<field>[A-Za-z_][A-Za-z0-9_-]*)|\["(?P<key>[^"]*)"\]|\[(?P<index>\d{1,9})\])"""
)


def parse_json_path(text: str) -> tuple[str | int, ...] | None:
    """Return the keys and indexes of a path, or ``None`` if it is malformed.

    >>> parse_json_path('a.b["c d"][2]'), parse_json_path("a..b")
    (('a', 'b', 'c d', 2), None)
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text.rstrip()):
        found = _PATH_STEP.match(text, end)
        if found is None:
            return None
        if found["field"] is not None:
            if (found["dot"] is None) != (not steps):
                return None  # a dot is required between fields and invalid before the first one
            steps.append(found["field"])
        elif found["key"] is not None:
            steps.append(found["key"])
        else:
            steps.append(int(found["index"]))
        end = found.end()
    return tuple(steps) or None
