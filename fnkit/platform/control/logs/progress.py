"""How far each function's log was sent, in a file that survives a restart."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from fnkit.platform.control.logs.following import Followed
from fnkit.platform.store.private_file import write_private

__all__ = ["PushProgress"]


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """The file. receiver: whom it was sent to; another receiver gets everything from the beginning."""

    receiver: str
    functions: dict[str, Followed]


class PushProgress:
    """Places by function. A file that cannot be written is behind: what follows is sent again after a restart."""

    def __init__(self, file: Path, receiver: str) -> None:
        self.places: dict[str, Followed] = {}
        self._file = file
        self._receiver = receiver

    def load(self) -> None:
        """Read the file; without one, or with one of another receiver, begin anew."""
        try:
            written = msgspec.json.decode(self._file.read_bytes(), type=_Written)
        except (OSError, msgspec.MsgspecError):
            return
        if written.receiver == self._receiver:
            self.places = dict(written.functions)

    def save(self, function_id: str, place: Followed) -> None:
        """Remember how far a function was sent."""
        self.places[function_id] = place
        content = msgspec.json.encode(_Written(receiver=self._receiver, functions=self.places))
        with contextlib.suppress(OSError):
            write_private(self._file, content)

    def forget(self, function_id: str) -> None:
        """Forget a function that is gone; the next save leaves it out."""
        self.places.pop(function_id, None)
