"""Which program runs which runtime (decision 28): the exact minor on PATH, of pyenv, of uv; else the nearest.

Programs are asked who they are, once: a pyenv shim or a link in a virtual environment answers with the real
interpreter behind it, which starts 45 ms sooner.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.runtimes import RUNTIMES, python_version
from fnkit.errors import PlatformError

__all__ = ["Interpreter", "Toolchain", "Toolchains"]

_OLDEST: Final = (3, 9)
"""What the Python bridge can run on."""

_PROBE: Final = """
import json, os, platform, sys
libc = platform.libc_ver()[0]
print(json.dumps({
    "path": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": list(sys.version_info[:2]),
    "implementation": sys.implementation.name,
    "machine": platform.machine(),
    "system": sys.platform,
    "libc": "gnu" if libc == "glibc" else "musl" if sys.platform == "linux" else "",
    "threaded": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
}))
"""
_PROBE_SECONDS: Final = 10


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that answered. ``threaded`` is false for builds without the global lock."""

    path: str
    version: tuple[int, int]
    implementation: str
    machine: str
    system: str
    libc: str
    threaded: bool = True

    @property
    def target(self) -> str:
        """``cpython-3.11-x86_64-linux-gnu`` (decision 4)."""
        parts = (self.implementation, ".".join(map(str, self.version)), self.machine, self.system, self.libc)
        return "-".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What runs a runtime. ``warning`` is a sentence where it is not the runtime's own minor."""

    interpreter: Interpreter
    warning: str | None = None


class Toolchains:
    """This machine's interpreters, looked for once. Blocks; for use in a thread."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._found: dict[tuple[int, int], Interpreter] | None = None

    def resolve(self, runtime: str) -> Toolchain:
        """Return what runs a Python runtime.

        Raises:
            PlatformError: ``no-toolchain`` where nothing does, or only the nearest and that is refused.
        """
        wanted = python_version(runtime) or (3, sys.version_info.minor)
        found = self._interpreters()
        if wanted in found:
            return Toolchain(found[wanted])
        alike = [version for version in found if version[0] == wanted[0]]
        nearest = min(alike, key=lambda version: (abs(version[1] - wanted[1]), -version[1]), default=None)
        name = ".".join(map(str, wanted))
        if nearest is None or self._strict:
            raise PlatformError(
                f"No Python {name} was found on this machine for the runtime {runtime}.",
                code="no-toolchain",
                hint=f"Install it, for example with `uv python install {name}`.",
            )
        used = ".".join(map(str, nearest))
        return Toolchain(found[nearest], f"{runtime} runs on Python {used}: no Python {name} was found here.")

    def targets(self) -> dict[str, str]:
        """Return runtime → target for every Python runtime that something here runs."""
        found = {}
        for runtime in RUNTIMES:
            if python_version(runtime.name) is None:
                continue
            try:
                found[runtime.name] = self.resolve(runtime.name).interpreter.target
            except PlatformError:
                continue
        return found

    def _interpreters(self) -> dict[tuple[int, int], Interpreter]:
        if self._found is None:
            found: dict[tuple[int, int], Interpreter] = {}
            asked: set[str] = set()
            for candidate in _candidates():
                real = os.path.realpath(candidate)
                if real in asked:
                    continue
                asked.add(real)
                one = _ask(candidate)
                if one and one.version >= _OLDEST and one.threaded:
                    found.setdefault(one.version, one)
            self._found = found
        return self._found


def _candidates() -> Iterator[str]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and Path(folder).name != "shims":
            yield from _pythons(Path(folder))
    home = Path(os.environ.get("HOME") or Path.home())
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for root in (pyenv / "versions", uv):
        try:
            versions = sorted(root.iterdir(), reverse=True)
        except OSError:
            continue  # there is none, or it is another user's: PYENV_ROOT survives `su`
        for version in versions:
            yield from _pythons(version / "bin")
    yield sys.executable


def _pythons(folder: Path) -> Iterator[str]:
    for minor in range(_OLDEST[1], 30):
        program = folder / f"python3.{minor}"
        if os.access(program, os.X_OK):
            yield str(program)


def _ask(program: str) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [program, "-I", "-S", "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=True
        )
        return msgspec.json.decode(answer.stdout, type=Interpreter)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return None
