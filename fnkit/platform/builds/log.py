"""The build log of a function: JSON lines next to its other logs, two megabytes at most."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["BuildLog"]

_MAX_SEGMENT_BYTES: Final = 1024 * 1024
_MAX_LINE_CHARACTERS: Final = 64 * 1024


class BuildLog:
    """Appends ``{"at", "stream": "build", "generation", "message"}`` lines to ``build.jsonl`` (mode 0600).

    A log that cannot be written never fails a build.
    """

    def __init__(self, folder: Path, generation: int, now: Callable[[], str]) -> None:
        self._file = folder / "build.jsonl"
        self._generation = generation
        self._now = now

    def write(self, message: str) -> None:
        """Append a line."""
        line = msgspec.json.encode(
            {
                "at": self._now(),
                "stream": "build",
                "generation": self._generation,
                "message": message[:_MAX_LINE_CHARACTERS],
            }
        )
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line + b"\n")
                full = os.fstat(descriptor).st_size > _MAX_SEGMENT_BYTES
            finally:
                os.close(descriptor)
            if full:
                self._file.replace(self._file.with_name("build.1.jsonl"))
