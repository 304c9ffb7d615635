"""A copy of a function's code as the platform gets it, for functions of which something has to be made first."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fnkit.bundler.bundle import bundle_project
from fnkit.bundler.target import BundleTarget
from fnkit.environments.model import EnvironmentRequest, unwritable_cache_error

_DIGEST: Final = "digest"
_KEY_DIGITS: Final = 16
_CHUNK_BYTES: Final = 1 << 20
_PERMISSIONS: Final = 0o777
_MODE_SHIFT: Final = 16


def staging_directory(request: EnvironmentRequest) -> Path:
    """Return the directory in the cache that belongs to a function of a project."""
    key = f"{request.project.root}\0{request.function.name}"
    name = hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]
    return request.cache.root / "staged" / name


@contextmanager
def staging(request: EnvironmentRequest) -> Iterator[Path]:
    """Let no other process change what is made of a function; yield its directory in the cache.

    Raises:
        BundleError: ``environment``: the directory cannot be made.
    """
    from filelock import FileLock  # imported late: takes 25 ms

    directory = staging_directory(request)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(directory / "lock")
        lock.acquire()
    except OSError as error:
        raise unwritable_cache_error(f"The code of {request.function.name}", directory, error) from error
    try:
        yield directory
    finally:
        lock.release()


def stage_function(request: EnvironmentRequest, target: BundleTarget) -> Path:
    """Bundle a function for this machine, and return the directory with the content of its archive.

    Files that are as before are not touched, so that compilers see what has changed.

    Raises:
        BundleError: The function cannot be bundled.
            Or ``environment``: the directory cannot be written.
    """
    function = request.function
    directory = staging_directory(request)
    [bundle] = bundle_project(
        request.project,
        {function.runtime: target},
        out=directory / "archives",
        cache=request.cache.bundler,
        kind="local",
        names=frozenset({function.name}),
        report=request.report,
        allow_builds=request.allow_builds,
    )
    source = directory / "source"
    marker = directory / _DIGEST
    with suppress(OSError):
        if marker.read_text() == bundle.digest and source.is_dir():
            return source
    try:
        marker.unlink(missing_ok=True)
        _unpack(bundle.path, source)
        marker.write_text(bundle.digest)
    except OSError as error:
        raise unwritable_cache_error(f"The code of {function.name}", source, error) from error
    return source


def _unpack(archive: Path, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as content:
        members = {one.filename: one for one in content.infolist() if not one.is_dir()}
        _remove_others(directory, members.keys())
        for name, member in members.items():
            path = directory / name
            if not _is_same(path, member):
                path.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, _CHUNK_BYTES)
            path.chmod((member.external_attr >> _MODE_SHIFT) & _PERMISSIONS or 0o644)


def _remove_others(directory: Path, wanted: Collection[str]) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()  # only if it is empty
        elif path.relative_to(directory).as_posix() not in wanted:
            path.unlink()


def _is_same(path: Path, member: zipfile.ZipInfo) -> bool:
    try:
        if path.is_symlink() or path.stat().st_size != member.file_size:
            return False
        return zlib.crc32(path.read_bytes()) == member.CRC
    except OSError:
        return False
