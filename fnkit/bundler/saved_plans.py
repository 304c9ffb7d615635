"""Recognises saved plans, so that ``fnkit plan --out plan.json`` does not change the slices it planned."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["is_saved_plan"]

_SAVED_PLAN_PREFIX: Final = b'{\n  "fnkit_plan": '
"""The first bytes of every saved plan, as ``fnkit.plan.model.encode_plan`` writes it; a test compares the two."""


def is_saved_plan(root: Path, path: str) -> bool:
    """Return whether a selected file is a saved plan.

    Checks files in the project's root directory only, where plans are usually saved: opening every file would cost
    more than the walk itself.
    """
    if "/" in path or path.endswith(".py"):
        return False
    try:
        with (root / path).open("rb") as file:
            return file.read(len(_SAVED_PLAN_PREFIX)) == _SAVED_PLAN_PREFIX
    except OSError:
        return False  # hashing the file reports the error with its name
