"""Finds the program for a runtime: of the exact version, or else of the nearest one (``installations``)."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.contract.runtimes import RUNTIMES, find_runtime
from fnkit.errors import PlatformError
from fnkit.toolchains.installations import LANGUAGES, Language
from fnkit.toolchains.interpreter import Interpreter
from fnkit.toolchains.probe_cache import ProbeCache

_DISTANCE_OF_MAJOR: Final = 1000
_ONE_MAJOR_VERSION: Final = ("Python", "PHP", "Go", "Rust")
"""Languages whose other major versions are other languages."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What runs a runtime.

    Attributes:
        interpreter: The interpreter, or for compiled languages the program that builds functions.
        warning: A sentence if it is not of the runtime's version.
    """

    interpreter: Interpreter
    warning: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warning, if there is one."""
        return () if self.warning is None else (self.warning,)


class Toolchains:
    """The languages of this machine. Searches once for each; blocks, so use it in a thread.

    Args:
        strict: Refuse programs of another version than the runtime's.
        cache: A file with what programs have said before; ``None`` to ask each.
    """

    def __init__(self, *, strict: bool = False, cache: Path | None = None) -> None:
        self._is_strict = strict
        self._cache = ProbeCache(cache) if cache is not None else None
        self._found: dict[str, dict[tuple[int, ...], Interpreter]] = {}
        self._lock = threading.Lock()

    def resolve(self, runtime: str) -> Toolchain:
        """Return what runs a runtime.

        Raises:
            PlatformError: ``no-toolchain`` if nothing does, or only another version that is refused.
        """
        row = find_runtime(runtime)
        language = LANGUAGES.get(row.language) if row else None
        if row is None or language is None:
            raise PlatformError(f"This platform does not run {runtime}.", code="no-toolchain")
        found = self._search(row.language)
        parts = row.version.split(".") if row.version else []
        wanted = tuple(map(int, parts)) or max(found, default=())
        if wanted in found:
            return Toolchain(found[wanted])
        candidates = [one for one in found if one[0] == wanted[0] or row.language not in _ONE_MAJOR_VERSION]
        nearest = min(candidates, key=lambda one: (_distance(one, wanted), [-part for part in one]), default=None)
        name = ".".join(map(str, wanted))
        if nearest is None or self._is_strict:
            described = f"{row.language} {name}".strip()
            raise PlatformError(
                f"No {described} was found on this machine for the runtime {runtime}.",
                code="no-toolchain",
                hint=f"Install it, {language.hint.format(version=name)}. Restart a running platform then.",
            )
        used = ".".join(map(str, nearest))
        text = f"{runtime} runs on {row.language} {used}: no {row.language} {name} was found here."
        return Toolchain(found[nearest], text)

    def targets(self) -> dict[str, str]:
        """Return the target of every runtime that can run here."""
        found = {}
        for runtime in RUNTIMES:
            try:
                found[runtime.name] = self.resolve(runtime.name).interpreter.target
            except PlatformError:
                continue
        return found

    def _search(self, name: str) -> dict[tuple[int, ...], Interpreter]:
        with self._lock:
            if name not in self._found:
                self._found[name] = _search(name, self._cache)
            return self._found[name]


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    parts = [abs(first - second) for first, second in zip(one, other, strict=True)]
    return sum(part * _DISTANCE_OF_MAJOR ** (len(parts) - 1 - index) for index, part in enumerate(parts))


def _search(name: str, cache: ProbeCache | None) -> dict[tuple[int, ...], Interpreter]:
    language = LANGUAGES[name]
    found: dict[tuple[int, ...], Interpreter] = {}
    seen: set[str] = set()
    for candidate in language.candidates():
        real = os.path.realpath(candidate)
        if not os.access(candidate, os.X_OK) or real in seen:
            continue
        seen.add(real)
        interpreter = _probe(language, candidate, cache)
        if interpreter is not None:
            found.setdefault(interpreter.version[: language.components], interpreter)
    return found


def _probe(language: Language, candidate: Path, cache: ProbeCache | None) -> Interpreter | None:
    if cache is None:
        return language.probe(candidate)
    is_known, interpreter = cache.get(candidate)
    if not is_known:
        interpreter = language.probe(candidate)
        cache.put(candidate, interpreter)
    return interpreter
