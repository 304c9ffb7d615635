"""The result of a detached start, which the supervisor writes to standard output as one line of JSON."""

from __future__ import annotations

import msgspec

__all__ = ["StartupResult"]


class StartupResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a detached start.

    Attributes:
        pid: Pid of the supervisor, if it keeps running.
        already_running: Whether another process holds the lock of the data directory.
        code: Code of the error, else empty.
        message: Message of the error.
        hint: Hint of the error.
    """

    pid: int = 0
    already_running: bool = False
    code: str = ""
    message: str = ""
    hint: str | None = None
