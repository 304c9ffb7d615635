"""Stores up to which position the log of each function was pushed, in a file that survives a restart."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from fnkit.platform.control.logs.following import FollowPosition
from fnkit.platform.store.private_file import write_private_file

__all__ = ["PushProgress"]


class _ProgressFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. If ``receiver`` (the URL) changes, the logs are pushed again from the start."""

    receiver: str
    functions: dict[str, FollowPosition]


class PushProgress:
    """The position of each function, by function id.

    If the file cannot be written, its positions are too old, and lines are pushed again after a restart. Loki
    stores a repeated line once, so this is safe, whereas a position that is too new would lose lines.
    """

    def __init__(self, file: Path, receiver: str) -> None:
        self.positions: dict[str, FollowPosition] = {}
        self._file = file
        self._receiver = receiver

    def load(self) -> None:
        """Read the file; start from scratch if it is missing, corrupt or of another receiver."""
        try:
            written = msgspec.json.decode(self._file.read_bytes(), type=_ProgressFile)
        except (OSError, msgspec.MsgspecError):
            return
        if written.receiver == self._receiver:
            self.positions = dict(written.functions)

    def save(self, function_id: str, position: FollowPosition) -> None:
        """Record up to which position a function was pushed."""
        self.positions[function_id] = position
        content = msgspec.json.encode(_ProgressFile(receiver=self._receiver, functions=self.positions))
        with contextlib.suppress(OSError):
            write_private_file(self._file, content)

    def remove(self, function_id: str) -> None:
        """Remove a deleted function; the next save omits it from the file."""
        self.positions.pop(function_id, None)
