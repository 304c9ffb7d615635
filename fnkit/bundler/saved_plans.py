"""Knows a saved plan when it lies in a project: ``fnkit plan --out plan.json`` must not change what it planned."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["is_saved_plan"]

_BEGINNING: Final = b'{\n  "fnkit_plan": '
"""How every saved plan begins (``fnkit.plan.changes.encode_plan``; a test holds the two together)."""


def is_saved_plan(root: Path, path: str) -> bool:
    """Say whether a selected file is a plan that somebody saved.

    Only the project's own folder is looked at, where people save them: opening every file would cost more than
    the walk.
    """
    if "/" in path or path.endswith(".py"):
        return False
    try:
        with (root / path).open("rb") as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False  # whoever reads it next says so
