"""The debugger under which a platform runs one function. Pure values."""

from __future__ import annotations

from typing import Final

import msgspec

DEBUGGER_MB: Final = 256
"""What an instance gets for its debugger, in addition to the memory of its function."""


class Debugger(msgspec.Struct, frozen=True, kw_only=True):
    """A debugger whose user interface is outside of the platform.

    Attributes:
        function: Name of the function.
        directory: Absolute path of the directory with debugpy for the interpreter of the function; empty for other
            languages, whose debugger is a part of their interpreter.
        port: Port on the loopback interface at which each instance reports on which port its debugger listens.
        key: What an instance says there first. A secret.
    """

    function: str
    directory: str
    port: int
    key: str

    def __repr__(self) -> str:
        """Omit the key."""
        return f"Debugger(function={self.function!r}, port={self.port})"
