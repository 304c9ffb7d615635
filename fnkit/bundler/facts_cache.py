"""A cache of parsed imports, keyed by the SHA-256 of each file."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.bundler.atomic_file import atomic_file
from fnkit.bundler.contents import Contents, read_again
from fnkit.bundler.module_facts import ModuleFacts, read_facts
from fnkit.errors import BundleError

__all__ = ["FactsCache"]

_RULES = 1
"""Increase when ``module_imports`` reads the same file differently."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    rules: str
    facts: dict[str, ModuleFacts]


class FactsCache:
    """Reads the imports of one project's files and caches them in ``<cache>/facts/<project>.msgpack``.

    ``save`` stores only the entries used in this run, so entries of deleted files do not accumulate.
    """

    def __init__(self, root: Path, contents: Contents, cache: Path) -> None:
        name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._place = cache / "facts" / f"{name}.msgpack"
        # Which syntax can be parsed depends on the Python that runs fnkit.
        self._rules = f"{_RULES}-{sys.version_info[0]}.{sys.version_info[1]}"
        self._contents = contents
        self._known: Mapping[str, ModuleFacts] = self._read()
        self._used: dict[str, ModuleFacts] = {}

    def facts(self, path: str) -> ModuleFacts:
        """Return the imports of a file of the project.

        Raises:
            BundleError: ``changed-while-bundling``.
        """
        content = self._contents[path]
        found = self._used.get(content.sha256) or self._known.get(content.sha256)
        if found is None:
            found = read_facts(read_again(content, path))
        self._used[content.sha256] = found
        return found

    def close(self) -> None:
        """Store the used entries when there are new ones. A cache that cannot be written is ignored."""
        if self._used.keys() - self._known.keys():
            with suppress(BundleError), atomic_file(self._place) as file:
                file.write(msgspec.msgpack.encode(_Stored(self._rules, self._used)))

    def _read(self) -> Mapping[str, ModuleFacts]:
        try:
            stored = msgspec.msgpack.decode(self._place.read_bytes(), type=_Stored)
        except (OSError, msgspec.MsgspecError):
            return {}
        return stored.facts if stored.rules == self._rules else {}
