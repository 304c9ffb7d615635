"""Atomic and durable replacement of private files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private_file(file: Path, content: bytes) -> None:
    """Replace a file atomically and durably, with mode 0600.

    The content is synced before the rename: a reader, or a restart after a power cut, finds either the old content
    or the new one, never a part of it.

    Raises:
        OSError: The file could not be written. The old content is unchanged.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
