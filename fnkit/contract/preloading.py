"""How a function says that its third-party modules are not to be imported ahead of a cold start.

By a tag: every platform keeps it, none but ours reads it. (A setting of its own would be refused by Scaleway's
API, a variable would be seen by the function.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["PRELOAD_OFF_TAG", "wants_preload"]

PRELOAD_OFF_TAG: Final = "fnkit.preload=false"


def wants_preload(tags: Iterable[str]) -> bool:
    """Say whether a function with these tags may have its modules imported ahead.

    >>> wants_preload(["fnkit", "fnkit.preload=false"])
    False
    """
    return PRELOAD_OFF_TAG not in tags
