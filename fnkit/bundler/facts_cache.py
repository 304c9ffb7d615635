"""A cache of parsed imports, keyed by the SHA-256 of each file."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.bundler.atomic_file import atomic_file
from fnkit.bundler.contents import ContentByPath, read_verified
from fnkit.bundler.module_facts import ModuleImports, read_module_imports
from fnkit.errors import BundleError

__all__ = ["ModuleImportsCache"]

_CACHE_VERSION = 1
"""Increase when ``module_imports`` reads the same file differently."""


class _CacheFile(msgspec.Struct, frozen=True, array_like=True):
    version: str
    imports: dict[str, ModuleImports]


class ModuleImportsCache:
    """Reads the imports of one project's files and caches them in ``<cache>/facts/<project>.msgpack``.

    ``save`` stores only the entries used in this run, so entries of deleted files do not accumulate.
    """

    def __init__(self, root: Path, contents: ContentByPath, cache: Path) -> None:
        name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._path = cache / "facts" / f"{name}.msgpack"
        # Which syntax can be parsed depends on the Python that runs fnkit.
        self._version = f"{_CACHE_VERSION}-{sys.version_info[0]}.{sys.version_info[1]}"
        self._contents = contents
        self._cached: Mapping[str, ModuleImports] = self._load()
        self._used: dict[str, ModuleImports] = {}

    def get(self, path: str) -> ModuleImports:
        """Return the imports of a file of the project.

        Raises:
            BundleError: ``changed-while-bundling``.
        """
        content = self._contents[path]
        found = self._used.get(content.sha256) or self._cached.get(content.sha256)
        if found is None:
            found = read_module_imports(read_verified(content, path))
        self._used[content.sha256] = found
        return found

    def save(self) -> None:
        """Store the used entries when there are new ones. A cache that cannot be written is ignored."""
        if self._used.keys() - self._cached.keys():
            with suppress(BundleError), atomic_file(self._path) as file:
                file.write(msgspec.msgpack.encode(_CacheFile(self._version, self._used)))

    def _load(self) -> Mapping[str, ModuleImports]:
        try:
            stored = msgspec.msgpack.decode(self._path.read_bytes(), type=_CacheFile)
        except (OSError, msgspec.MsgspecError):
            return {}
        return stored.imports if stored.version == self._version else {}
