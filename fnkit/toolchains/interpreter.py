"""The program of a language that this machine has."""

from __future__ import annotations

import msgspec


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A program that works: an interpreter, or for compiled languages ``go`` or ``cargo``.

    Attributes:
        path: Its real path.
        version: Major and minor version.
        implementation: ``cpython``, ``node``, ``php``, ``go`` or ``rust``.
        has_gil: ``False`` for builds of Python without the global interpreter lock.
        is_usable: ``False`` for builds of PHP that are no command line program, or have threads.
    """

    path: str
    version: tuple[int, int]
    implementation: str
    machine: str
    system: str
    libc: str
    has_gil: bool = True
    is_usable: bool = True

    @property
    def target(self) -> str:
        """The platform it builds for, such as ``cpython-3.11-x86_64-linux-gnu``."""
        parts = (self.implementation, ".".join(map(str, self.version)), self.machine, self.system, self.libc)
        return "-".join(part for part in parts if part)
