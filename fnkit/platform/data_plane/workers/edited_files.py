"""The edited files of a deployment, which its instances write over the code as it was built."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from fnkit.platform.model.routing import LocalProgram


def read_edited_files(program: LocalProgram) -> list[tuple[str, str | None]]:
    """Return the paths of edited files with their contents in Base64, ``None`` for those that are removed.

    Raises:
        OSError: One cannot be read.
    """
    return [(path, _read(Path(program.edits_dir, path))) for path in program.edited]


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        return base64.b64encode(file.read()).decode()
