"""Lock files: the exact file of each distribution for one runtime and target.

``fnkit.<runtime>.<target>.lock`` is stored beside the project's settings and meant to be committed. It is a PEP 751
``pylock.toml`` with an additional ``[tool.fnkit]`` table. It contains no paths of this machine and no credentials.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from fnkit.bundler.atomic_file import atomic_file
from fnkit.errors import BundleError

__all__ = ["Lock", "LockedPackage", "format_lock", "lock_path", "read_lock", "write_lock"]

_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADER = "# Written by fnkit. Commit it; `fnkit lock` writes it again.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One locked distribution.

    Attributes:
        name: Normalised name (PEP 503).
        kind: ``wheel``, or ``sdist`` for a package that the project allows to be built from source.
        url: ``None`` where only the index's own client can locate the file.
        size: Bytes; 0 when the index does not report it.
    """

    name: str
    version: str
    kind: Literal["wheel", "sdist"]
    filename: str
    url: str | None
    sha256: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All packages of one runtime and target, sorted by name.

    Attributes:
        target: ``scaleway`` or ``local``.
        key: 64 hex digits over everything the resolution depends on; while it is equal nothing is resolved again.
        notes: Sentences for the user.
    """

    path: Path
    runtime: str
    target: str
    key: str
    packages: tuple[LockedPackage, ...]
    notes: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    hashes: dict[str, str]
    url: str | None = None
    path: str | None = None
    size: int = 0


class _Package(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    wheels: list[_File] = []
    sdist: _File | None = None


class _Ours(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    runtime: str
    target: str
    key: str
    notes: list[str] = []


class _Tool(msgspec.Struct, frozen=True, kw_only=True):
    fnkit: _Ours


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    tool: _Tool
    packages: list[_Package] = []


def lock_path(root: Path, runtime: str, target: str) -> Path:
    """Return the path of the lock file for a runtime and target."""
    return root / f"fnkit.{runtime}.{target}.lock"


def read_lock(path: Path) -> Lock | None:
    """Return the lock in a file, or ``None`` when the file does not exist.

    Raises:
        BundleError: ``lock-file`` when the file cannot be read or was not written by fnkit.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, "it cannot be read") from error
    try:
        document = msgspec.convert(tomllib.loads(text), _Document)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise _unusable(path, str(error)) from error
    table = document.tool.fnkit
    if table.version != _VERSION:
        raise _unusable(path, f"it has format {table.version}, this version of fnkit uses format {_VERSION}")
    packages = tuple(_package(path, package) for package in document.packages)
    return Lock(
        path=path,
        runtime=table.runtime,
        target=table.target,
        key=table.key,
        packages=packages,
        notes=tuple(table.notes),
    )


def _package(path: Path, package: _Package) -> LockedPackage:
    file = package.wheels[0] if package.wheels else package.sdist
    sha256 = "" if file is None else file.hashes.get("sha256", "")
    if file is None or _SHA256.fullmatch(sha256) is None:
        raise _unusable(path, f"{package.name} has no file with a sha256")
    return LockedPackage(
        name=package.name,
        version=package.version,
        kind="wheel" if package.wheels else "sdist",
        filename=file.name,
        url=file.url,
        sha256=sha256,
        size=file.size,
    )


def format_lock(lock: Lock) -> str:
    """Return a lock's text: deterministic, with one block per package so that it diffs well."""
    table = [
        "[tool.fnkit]",
        f"version = {_VERSION}",
        f"runtime = {_quoted(lock.runtime)}",
        f"target = {_quoted(lock.target)}",
        f"key = {_quoted(lock.key)}",
        f"notes = [{', '.join(_quoted(note) for note in lock.notes)}]",
    ]
    packages = ["\n".join(_block(package)) for package in sorted(lock.packages, key=lambda one: one.name)]
    return _HEADER + "\n\n".join(['lock-version = "1.0"\ncreated-by = "fnkit"', *packages, "\n".join(table)]) + "\n"


def _block(package: LockedPackage) -> list[str]:
    fields = [f"name = {_quoted(package.filename)}"]
    # PEP 751 requires a url or a path. A bare file name marks a file that only the index's own client can fetch.
    fields.append(f"url = {_quoted(package.url)}" if package.url else f"path = {_quoted(package.filename)}")
    if package.size:
        fields.append(f"size = {package.size}")
    fields.append(f"hashes = {{ sha256 = {_quoted(package.sha256)} }}")
    inline = "{ " + ", ".join(fields) + " }"
    value = f"wheels = [{inline}]" if package.kind == "wheel" else f"sdist = {inline}"
    return ["[[packages]]", f"name = {_quoted(package.name)}", f"version = {_quoted(package.version)}", value]


def _quoted(text: str) -> str:
    """Return a TOML basic string.

    JSON's escapes are a subset of TOML's; TOML also requires DEL to be escaped.
    """
    return msgspec.json.encode(text).decode("utf-8").replace("\x7f", "\\u007f")


def _unusable(path: Path, why: str) -> BundleError:
    return BundleError(
        f"{path.name} cannot be used: {why}.",
        code="lock-file",
        hint="Delete it; fnkit writes it again when it is needed.",
        file=path.name,
    )


def write_lock(lock: Lock) -> None:
    """Write a lock to its path atomically. An identical file is left untouched.

    Raises:
        BundleError: ``disk-full``, ``not-writable``.
    """
    text = format_lock(lock).encode("utf-8")
    try:
        if lock.path.read_bytes() == text:
            return
    except OSError:
        pass
    with atomic_file(lock.path) as file:
        file.write(text)
