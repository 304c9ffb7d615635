"""The format of backups: an uncompressed tar file whose first member, the manifest, lists all others.

A file that is read may come from anywhere. Only regular files with the names below are accepted, each once, with
the size and the SHA-256 of the manifest.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Final

import msgspec

from fnkit.errors import PlatformError

MANIFEST_NAME: Final = "manifest.json"
SINGLE_FILES: Final = (
    *("platform.json", "api-keys.json", "brokers.toml", "nats.json", "sqs.json"),
    *("keys/platform.key", "keys/tokens.pem", "tls/authority.pem", "tls/authority.crt"),
    "platform.db",
)
"""The files of a backup besides the archives, by their paths in the data directory. Some are optional."""
DIRECTORIES: Final = ("keys", "tls", "blobs")

_FORMAT: Final = "fnkit-backup"
_VERSION: Final = 1
_ARCHIVE: Final = re.compile("blobs/([0-9a-f]{64})")
_MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024


class BackedUpFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a backup: its path in the data directory, its size in bytes, and its SHA-256."""

    name: str
    size: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup contains.

    Attributes:
        created_at: RFC 3339.
        functions: Number of functions.
        files: All files, the archives last.
        missing: SHA-256 of archives that functions refer to, but that were lost or damaged before the backup.
    """

    created_at: str
    functions: int
    files: tuple[BackedUpFile, ...]
    missing: tuple[str, ...] = ()
    format: str = _FORMAT
    version: int = _VERSION

    @property
    def archives(self) -> int:
        """Number of archives."""
        return sum(one.name.startswith("blobs/") for one in self.files)


def describe_file(directory: Path, name: str) -> BackedUpFile:
    """Return the size and the digest of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with (directory / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return BackedUpFile(name=name, size=stream.tell(), sha256=digest)


def write_backup(directory: Path, manifest: BackupManifest, target: Path) -> None:
    """Write the files of a directory as a backup (0600), which replaces ``target`` when it is complete and on disk.

    Raises:
        OSError: A file cannot be read or written. ``target`` is unchanged.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as backup:
                content = msgspec.json.encode(manifest)
                _add(backup, MANIFEST_NAME, len(content), io.BytesIO(content))
                for file in manifest.files:
                    with (directory / file.name).open("rb") as source:
                        _add(backup, file.name, file.size, source)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def _add(backup: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    backup.addfile(member, content)


def extract_backup(file: Path, directory: Path) -> BackupManifest:
    """Write the files of a backup (0600) and its manifest to an empty directory, on disk when this returns.

    Raises:
        PlatformError: ``backup-invalid``, ``backup-newer``.
        OSError: A file cannot be read or written.
    """
    for name in DIRECTORIES:
        (directory / name).mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:") as backup:
            manifest = _read_manifest(backup, file)
            expected = {one.name: one for one in manifest.files}
            while (member := backup.next()) is not None:
                described = expected.pop(member.name, None)
                source = _content(backup, member)
                if described is None or source is None or member.size != described.size:
                    raise invalid_backup_error(file, f"its member {member.name!a} is not in its manifest")
                if _copy(source, directory / described.name, member.size) != described.sha256:
                    raise invalid_backup_error(file, f"its member {member.name} is damaged")
    except (tarfile.TarError, ValueError, OverflowError, EOFError):
        raise invalid_backup_error(file, "it is damaged, or not a backup of fnkit") from None
    if expected:
        raise invalid_backup_error(file, f"its member {min(expected)} is missing")
    content = msgspec.json.encode(manifest)
    _copy(io.BytesIO(content), directory / MANIFEST_NAME, len(content))
    for name in (*DIRECTORIES, "."):
        sync_directory(directory / name)
    return manifest


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_manifest(backup: tarfile.TarFile, file: Path) -> BackupManifest:
    member = backup.next()
    content = None if member is None else _content(backup, member)
    if member is None or content is None or member.name != MANIFEST_NAME or member.size > _MAX_MANIFEST_BYTES:
        raise invalid_backup_error(file, "it is not a backup of fnkit")
    manifest = msgspec.json.decode(content.read(), type=BackupManifest)
    if manifest.format != _FORMAT or manifest.version > _VERSION:
        raise PlatformError(
            f"{file} cannot be restored: a newer fnkit wrote it.",
            code="backup-newer",
            hint="Upgrade fnkit.",
        )
    if not all(_is_expected(one) for one in manifest.files):
        raise invalid_backup_error(file, "its manifest lists a file that is not one of a platform")
    return manifest


def _is_expected(file: BackedUpFile) -> bool:
    archive = _ARCHIVE.fullmatch(file.name)
    return file.name in SINGLE_FILES if archive is None else archive[1] == file.sha256


def _content(backup: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    """Return the content of a regular file, ``None`` for anything else. A sparse file could be of any size."""
    if member.type != tarfile.REGTYPE or member.sparse is not None:
        return None
    return backup.extractfile(member)


def _copy(content: IO[bytes], target: Path, size: int) -> str:
    """Write at most ``size`` bytes to a new file, and return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        while size > 0 and (chunk := content.read(min(size, _CHUNK_BYTES))):
            size -= len(chunk)
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def invalid_backup_error(file: Path, reason: str) -> PlatformError:
    """Return the error for a file that is not a complete backup."""
    return PlatformError(
        f"{file} cannot be restored: {reason.removesuffix('.')}.",
        code="backup-invalid",
        hint="Use another backup. Nothing was changed.",
    )
