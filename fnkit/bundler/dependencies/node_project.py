"""Reads what a Node project says about its packages: ``package.json``, and which package manager locked them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from fnkit.bundler.files.content import unreadable_file_error
from fnkit.errors import BundleError

PackageManager: TypeAlias = Literal["npm", "pnpm", "yarn", "yarn-berry"]

MANIFEST: Final = "package.json"
LOCK_FILES: Final = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock")
"""The first one found is used, as its package manager would."""
_MAX_BYTES: Final = 32 * 1024 * 1024
_PRODUCTION: Final = ("dependencies", "optionalDependencies")
_LOCAL_PREFIXES: Final = ("file:", "link:", "portal:", "workspace:")
_BERRY_HEADER: Final = b"\n__metadata:"


@dataclass(frozen=True, slots=True)
class NodeManifest:
    """A ``package.json``.

    Attributes:
        document: Its content.
        shown: Its path relative to the project, for messages.
    """

    document: Mapping[str, object]
    shown: str

    def packages(self, *, development: bool = False) -> dict[str, str]:
        """Return the declared packages: names and the versions that fit."""
        found: dict[str, str] = {}
        for field in (*_PRODUCTION, *(("devDependencies",) if development else ())):
            value = self.document.get(field)
            if isinstance(value, dict):
                found |= {str(name): version for name, version in value.items() if isinstance(version, str)}
        return found

    def script(self, name: str) -> str | None:
        """Return a script, or ``None``."""
        scripts = self.document.get("scripts")
        script = scripts.get(name) if isinstance(scripts, dict) else None
        return script if isinstance(script, str) and script.strip() else None

    @property
    def is_module(self) -> bool:
        """Whether its ``.js`` files are ES modules."""
        return self.document.get("type") == "module"

    def local_packages(self) -> dict[str, str]:
        """Return the packages that are directories of this machine: names and where they are."""
        every = self.packages(development=True)
        return {name: version for name, version in every.items() if version.startswith(_LOCAL_PREFIXES)}


@dataclass(frozen=True, slots=True)
class NodeLock:
    """A lock file of a package manager."""

    manager: PackageManager
    name: str
    content: bytes


def read_manifest(folder: Path, shown: str) -> NodeManifest | None:
    """Return the ``package.json`` of a folder, or ``None`` if there is none.

    Args:
        folder: The folder.
        shown: The path of the file relative to the project, for messages.

    Raises:
        BundleError: ``package-json`` if it is not a JSON object, ``unreadable-file``.
    """
    content = _read(folder / MANIFEST, shown)
    if content is None:
        return None
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is not UTF-8, or nested too deeply"
        raise BundleError(
            f"{shown} is not valid JSON: {reason}.", code="package-json", hint="Correct it.", file=shown, line=line
        ) from error
    if not isinstance(document, dict):
        raise BundleError(f"{shown} is not a JSON object.", code="package-json", hint="Correct it.", file=shown)
    return NodeManifest(document, shown)


def read_lock(folder: Path, shown: str) -> NodeLock | None:
    """Return the lock file of a folder, or ``None`` if there is none.

    Args:
        folder: The folder.
        shown: The folder relative to the project, ``""`` or with ``/`` at the end, for messages.

    Raises:
        BundleError: ``unreadable-file``.
    """
    for name in LOCK_FILES:
        content = _read(folder / name, shown + name)
        if content is not None:
            return NodeLock(_manager_of(name, content), name, content)
    return None


def _manager_of(name: str, content: bytes) -> PackageManager:
    if name == "pnpm-lock.yaml":
        return "pnpm"
    if name != "yarn.lock":
        return "npm"
    return "yarn-berry" if _BERRY_HEADER in b"\n" + content[:10_000] else "yarn"


def _read(file: Path, shown: str) -> bytes | None:
    try:
        if not file.is_file():
            return None
        if file.stat().st_size > _MAX_BYTES:
            raise BundleError(f"{shown} is larger than 32 MiB.", code="unreadable-file", hint="Make it smaller.")
        return file.read_bytes()
    except OSError as error:
        raise unreadable_file_error(shown, error) from error
