"""Log files of the platform's own processes: the last lines, and following new lines."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.model.settings import DataLayout

PROCESSES: Final = ("supervisor", "control", "data-plane")

_MAX_TAIL_BYTES: Final = 256 * 1024


def tail_log(data_dir: Path, process: str, count: int) -> list[str]:
    """Return the last ``count`` lines in the log of a process."""
    file = _log_file(data_dir, process)
    try:
        content = file.read_bytes()
    except OSError:
        return []
    return content[-_MAX_TAIL_BYTES:].decode(errors="replace").splitlines()[-count:] if count else []


class LogFileFollower:
    """Reads the lines that a process logs from now on, across rotations.

    Args:
        data_dir: The data directory.
        process: One of ``PROCESSES``, or ``nats`` or ``sqs``.
    """

    def __init__(self, data_dir: Path, process: str) -> None:
        self._file = _log_file(data_dir, process)
        self._stream = self._open()
        if self._stream is not None:
            self._stream.seek(0, os.SEEK_END)
        self._partial_line = b""

    def read_new_lines(self) -> list[str]:
        """Return the complete lines since the last call."""
        content = self._stream.read() if self._stream is not None else b""
        # The rest of the rotated file was read above; its replacement continues from the beginning.
        if self._was_rotated():
            self.close()
            self._stream = self._open()
            content += self._stream.read() if self._stream is not None else b""
        *lines, self._partial_line = (self._partial_line + content).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def _open(self) -> io.BufferedReader | None:
        try:
            return self._file.open("rb")
        except OSError:
            return None

    def _was_rotated(self) -> bool:
        try:
            now = self._file.stat()
        except OSError:
            return False
        return self._stream is None or not os.path.samestat(now, os.fstat(self._stream.fileno()))


def _log_file(data_dir: Path, process: str) -> Path:
    return DataLayout(data_dir).logs_dir / "platform" / f"{process}.log"


def not_healthy_error(layout: DataLayout, reason: str) -> PlatformError:
    """Return the error for a platform that started but is not healthy, with the last log line of each process."""
    tails = ((process, tail_log(layout.data_dir, process, 1)) for process in PROCESSES)
    last_lines = [f"\n  {process}: {lines[-1]}" for process, lines in tails if lines]
    return PlatformError(
        f"The platform was started, but {reason}.{''.join(last_lines)}",
        code="platform-not-healthy",
        hint=f"Run `fnkit platform logs` for details. The logs are in {layout.logs_dir / 'platform'}.",
    )
