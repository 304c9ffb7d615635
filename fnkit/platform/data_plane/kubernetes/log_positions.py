"""How far the logs of Pods have been read: a file, so that a gateway that takes over continues there.

It is written at most once a second, so that lines of the last second appear twice after a gateway was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import msgspec

_INTERVAL: Final = 1.0
_decoder: Final = msgspec.json.Decoder(dict[str, str])


class LogPositions:
    """The time of the last line that was read of each Pod's log.

    Args:
        file: Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = file
        self._positions: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            self._positions = _decoder.decode(file.read_bytes())

    def get(self, pod: str) -> str:
        """Return the time of the last line of a Pod, as its log has it; empty if none was read."""
        return self._positions.get(pod, "")

    def advance(self, pod: str, position: str) -> None:
        """Set the time of the last line of a Pod."""
        self._positions[pod] = position
        self._schedule()

    def forget(self, pod: str) -> None:
        """Forget a Pod that is gone."""
        if self._positions.pop(pod, None) is not None:
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL, self.save)

    def save(self) -> None:
        """Write the file. If the disk is full, lines may appear twice later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        temporary = self._file.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.json.encode(self._positions))
            temporary.replace(self._file)
