"""What a supervisor of its own says to whoever started it: one line of JSON on its standard output."""

from __future__ import annotations

import msgspec

__all__ = ["Spoken"]


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """How a detached start went: ``pid`` when it goes on, ``taken`` when another one does, else the error."""

    pid: int = 0
    taken: bool = False
    code: str = ""
    message: str = ""
    hint: str | None = None
