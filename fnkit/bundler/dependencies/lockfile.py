"""Lock files: the exact file of each distribution for one runtime and target.

``fnkit.<runtime>.<target>.lock`` is stored beside the project's settings and meant to be committed. It is a PEP 751
``pylock.toml`` with an additional ``[tool.fnkit]`` table. It contains no paths of this machine and no credentials.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from fnkit.bundler.files.content import atomic_file
from fnkit.contract.toml_value import toml_value
from fnkit.errors import BundleError

_FORMAT_VERSION = 1
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
_GROUP_TERM = re.compile(r"'([a-z0-9]+(?:-[a-z0-9]+)*)' in dependency_groups")
_HEADER_COMMENT = "# Written by fnkit. Commit it; `fnkit lock` writes it again.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One locked distribution.

    Attributes:
        name: Normalised name (PEP 503).
        kind: ``wheel``, or ``sdist`` for a package that the project allows to be built from source.
        url: ``None`` where only the index's own client can locate the file.
        size: Bytes; 0 when the index does not report it.
        groups: The dependency groups that need it, sorted; empty for a package that every function has.
    """

    name: str
    version: str
    kind: Literal["wheel", "sdist"]
    filename: str
    url: str | None
    sha256: str
    size: int = 0
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All packages of one runtime and target, sorted by name.

    Attributes:
        target: ``scaleway`` or ``local``.
        key: 64 hex digits over everything the resolution depends on; while it is equal nothing is resolved again.
        notes: Sentences for the user.
        groups: The dependency groups that it covers, sorted.
    """

    path: Path
    runtime: str
    target: str
    key: str
    packages: tuple[LockedPackage, ...]
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def select(self, groups: Collection[str]) -> Lock:
        """Return the lock of what has exactly these of its dependency groups: a function, or an environment."""
        chosen = [one for one in self.packages if not one.groups or not set(groups).isdisjoint(one.groups)]
        left_out = {one.name for one in self.packages} - {one.name for one in chosen}
        return replace(
            self,
            packages=tuple(replace(one, groups=()) for one in chosen),
            # A note begins with the name of the package that it is about.
            notes=tuple(note for note in self.notes if note.partition(" ")[0] not in left_out),
            groups=(),
        )


class _FileTable(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    hashes: dict[str, str]
    url: str | None = None
    size: int = 0


class _PackageTable(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    marker: str | None = None
    wheels: list[_FileTable] = []
    sdist: _FileTable | None = None


class _FnkitTable(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    runtime: str
    target: str
    key: str
    notes: list[str] = []


class _ToolTable(msgspec.Struct, frozen=True, kw_only=True):
    fnkit: _FnkitTable


class _LockDocument(msgspec.Struct, frozen=True, kw_only=True):
    tool: _ToolTable
    dependency_groups: list[str] = msgspec.field(name="dependency-groups", default_factory=list)
    packages: list[_PackageTable] = []


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
        raise invalid_lock_error(path, "it cannot be read") from error
    try:
        document = msgspec.convert(tomllib.loads(text), _LockDocument)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise invalid_lock_error(path, str(error)) from error
    table = document.tool.fnkit
    if table.version != _FORMAT_VERSION:
        raise invalid_lock_error(
            path, f"it has format {table.version}, this version of fnkit uses format {_FORMAT_VERSION}"
        )
    groups = tuple(document.dependency_groups)
    packages = tuple(_locked_package(path, package, groups) for package in document.packages)
    return Lock(
        path=path,
        runtime=table.runtime,
        target=table.target,
        key=table.key,
        packages=packages,
        notes=tuple(table.notes),
        groups=groups,
    )


def _locked_package(path: Path, package: _PackageTable, groups: tuple[str, ...]) -> LockedPackage:
    file = package.wheels[0] if package.wheels else package.sdist
    sha256 = "" if file is None else file.hashes.get("sha256", "")
    if file is None or _SHA256_PATTERN.fullmatch(sha256) is None:
        raise invalid_lock_error(path, f"{package.name!r} has no file with a sha256")
    if not _is_file_of(package, file.name, is_wheel=bool(package.wheels)):
        raise invalid_lock_error(
            path, f"{file.name!r} is not the name of a file of {package.name} {package.version}"
        )
    if file.url is not None and urlsplit(file.url).scheme not in ("http", "https"):
        raise invalid_lock_error(path, f"the URL of {package.name!r} is not an http or https URL")
    return LockedPackage(
        name=package.name,
        version=package.version,
        kind="wheel" if package.wheels else "sdist",
        filename=file.name,
        url=file.url,
        sha256=sha256,
        size=file.size,
        groups=_marker_groups(path, package, groups),
    )


def _marker_groups(path: Path, package: _PackageTable, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups that a marker names. Only the form that fnkit writes is accepted."""
    if package.marker is None:
        return ()
    names = tuple(_GROUP_TERM.findall(package.marker))
    if not names or package.marker != _marker(names):
        raise invalid_lock_error(path, f"the marker of {package.name!r} does not name dependency groups")
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise invalid_lock_error(path, f"{package.name!r} belongs to {unknown[0]!r}, which is no group of the file")
    return names


def _marker(groups: tuple[str, ...]) -> str:
    """Return the PEP 751 marker of a package that only these groups need."""
    return " or ".join(f"'{name}' in dependency_groups" for name in groups)


def _is_file_of(package: _PackageTable, filename: str, *, is_wheel: bool) -> bool:
    """Return whether a file name is that of a distribution of this package and version, without a directory."""
    try:
        name, version = parse_wheel_filename(filename)[:2] if is_wheel else parse_sdist_filename(filename)
        expected = Version(package.version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return False
    is_plain = not {"/", "\\"} & set(filename) and filename.isprintable()
    return is_plain and version == expected and name == canonicalize_name(package.name) == package.name


def format_lock(lock: Lock) -> str:
    """Return a lock's text: deterministic, with one block per package so that it diffs well."""
    table = [
        "[tool.fnkit]",
        f"version = {_FORMAT_VERSION}",
        f"runtime = {toml_value(lock.runtime)}",
        f"target = {toml_value(lock.target)}",
        f"key = {toml_value(lock.key)}",
        f"notes = [{', '.join(toml_value(note) for note in lock.notes)}]",
    ]
    head = 'lock-version = "1.0"\ncreated-by = "fnkit"'
    if lock.groups:
        head += f"\ndependency-groups = [{', '.join(map(toml_value, lock.groups))}]"
    packages = ["\n".join(_format_package(package)) for package in sorted(lock.packages, key=lambda one: one.name)]
    return _HEADER_COMMENT + "\n\n".join([head, *packages, "\n".join(table)]) + "\n"


def _format_package(package: LockedPackage) -> list[str]:
    fields = [f"name = {toml_value(package.filename)}"]
    # PEP 751 requires a url or a path. A bare file name marks a file that only the index's own client can fetch.
    fields.append(f"url = {toml_value(package.url)}" if package.url else f"path = {toml_value(package.filename)}")
    if package.size:
        fields.append(f"size = {package.size}")
    fields.append(f"hashes = {{ sha256 = {toml_value(package.sha256)} }}")
    inline = "{ " + ", ".join(fields) + " }"
    value = f"wheels = [{inline}]" if package.kind == "wheel" else f"sdist = {inline}"
    return [
        "[[packages]]",
        f"name = {toml_value(package.name)}",
        f"version = {toml_value(package.version)}",
        *([f"marker = {toml_value(_marker(package.groups))}"] if package.groups else []),
        value,
    ]


def invalid_lock_error(path: Path, reason: str) -> BundleError:
    """Return the error for a lock file that cannot be used."""
    return BundleError(
        f"{path.name} cannot be used: {reason}.",
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
    with suppress(OSError):
        if lock.path.read_bytes() == text:
            return
    with atomic_file(lock.path) as file:
        file.write(text)
