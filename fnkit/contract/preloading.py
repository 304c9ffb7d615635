"""The tag that disables preloading: importing a function's third-party modules ahead of a cold start.

A tag is stored by every platform and read by fnkit's only. Scaleway's API would reject an unknown field, and an
environment variable would be visible to the function (``docs/decisions/preload-as-a-tag.md``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["PRELOAD_DISABLED_TAG", "is_preload_enabled"]

PRELOAD_DISABLED_TAG: Final = "fnkit.preload=false"


def is_preload_enabled(tags: Iterable[str]) -> bool:
    """Return whether a function with these tags allows preloading.

    >>> is_preload_enabled(["fnkit", "fnkit.preload=false"])
    False
    """
    return PRELOAD_DISABLED_TAG not in tags
