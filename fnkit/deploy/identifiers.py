"""Finds resources by the beginning of their id, as commands show it in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fnkit.errors import UsageError

SHORTEST_ID: Final = 8
FULL_ID: Final = 36


def find_id(given: str, ids: Iterable[str], things: str) -> str | None:
    """Return the id that is the given one, or the only one that begins with it; ``None`` if there is none.

    Args:
        given: An id, or at least its first 8 characters.
        ids: The ids to choose from.
        things: What they belong to, in the plural, for the message.

    Raises:
        UsageError: ``ambiguous-name``: several begin so.
    """
    known = set(ids)
    if given in known or len(given) < SHORTEST_ID:
        return given if given in known else None
    found = sorted(one for one in known if one.startswith(given.lower()))
    if len(found) > 1:
        raise UsageError(
            f"{given} could be any of {len(found)} {things}.",
            code="ambiguous-name",
            hint=f"Give more of the ID: {', '.join(found)}.",
        )
    return found[0] if found else None
