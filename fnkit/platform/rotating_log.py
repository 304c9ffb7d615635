"""A log file that is rotated by size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

MAX_LOG_BYTES: Final = 4 * 1024 * 1024
MAX_ROTATED_FILES: Final = 3


class RotatingLogFile:
    """Appends to a file (0600) and rotates it to ``file.1``, ``file.2``, … by size.

    Errors such as a full disk are ignored: the platform loses log lines but keeps running. The directory is created
    if it does not exist.

    Args:
        file: The file.
        max_bytes: Size at which it is rotated.
    """

    def __init__(self, file: Path, *, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._file = file
        self._max_bytes = max_bytes

    def write(self, content: bytes) -> None:
        """Append. The file is opened for each write, so that it may be deleted or moved meanwhile."""
        with contextlib.suppress(OSError):
            if self._size() + len(content) > self._max_bytes:
                self._rotate()
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0

    def _rotate(self) -> None:
        for number in range(MAX_ROTATED_FILES, 0, -1):
            older = self._file.with_name(f"{self._file.name}.{number}")
            newer = self._file.with_name(f"{self._file.name}.{number - 1}") if number > 1 else self._file
            if newer.exists():
                newer.replace(older)
