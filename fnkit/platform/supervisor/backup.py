"""Backup and restore of a data directory.

A backup holds the database, the keys, the settings and the archives. The copy of the database is one state of it,
also while the platform is running. Built code is not in a backup, since a start builds it from the archives. Nor
are logs, and streams of the built-in NATS server.

A restore first writes and checks all files in a directory beside the present ones. Renaming that directory to
``restore`` is the decision: from then on, this and every later start move its files to their places, until all are
there. A process that is killed at any point leaves either the present state or the restored one.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.blobs import archive_names, kept_archives
from fnkit.platform.control.store.database import Store, store_damaged_error, store_missing_error
from fnkit.platform.control.store.opening import open_store
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.backup_file import (
    DIRECTORIES,
    MANIFEST_NAME,
    SINGLE_FILES,
    BackupManifest,
    describe_file,
    extract_backup,
    invalid_backup_error,
    sync_directory,
    write_backup,
)

_TEMPORARY_PREFIX: Final = ".incomplete-"
_RESTORED: Final = (*(name for name in SINGLE_FILES if "/" not in name and name != "platform.db"), *DIRECTORIES)
"""What a restore replaces besides the database, which is the last."""


def create_backup(layout: DataLayout, target: Path) -> BackupManifest:
    """Write a backup of a platform, which may be running, to a file.

    Args:
        layout: The data directory.
        target: The file. It is replaced when the backup is complete.

    Raises:
        PlatformError: ``no-platform``: there is nothing to back up; otherwise as ``open_store``.
        OSError: A file cannot be read or written. ``target`` is unchanged.
    """
    if not (layout.database.exists() or layout.key_file.exists()):
        raise PlatformError(
            f"There is no platform in {layout.data_dir}.",
            code="no-platform",
            hint="Choose the directory of the platform with --data-dir or FNKIT_HOME.",
        )
    with _temporary_directory(layout) as directory:
        for name in DIRECTORIES:
            (directory / name).mkdir(mode=0o700)
        for name in SINGLE_FILES:
            if name != layout.database.name and (layout.data_dir / name).exists():
                shutil.copyfile(layout.data_dir / name, directory / name)
        copy = DataLayout(directory)
        _copy_store(layout, copy)
        store, _ = open_store(copy)
        with closing(store):
            functions, referenced = store.functions.count({}), store.archives()
        files = [describe_file(directory, name) for name in SINGLE_FILES if (directory / name).exists()]
        archives = [describe_file(directory, f"blobs/{one}") for one in sorted(archive_names(copy.blobs_dir))]
        whole = [one for one in archives if one.name.endswith(one.sha256)]
        manifest = BackupManifest(
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            functions=functions,
            files=(*files, *whole),
            missing=tuple(sorted(referenced - {one.sha256 for one in whole})),
        )
        write_backup(directory, manifest, target)
        return manifest


def restore_backup(layout: DataLayout, file: Path) -> BackupManifest:
    """Replace the content of a data directory with that of a backup. The caller holds the directory's lock.

    Raises:
        PlatformError: ``backup-invalid``, ``backup-newer``, ``store-newer``. Nothing was changed.
        OSError: A file cannot be read or written.
    """
    complete_restore(layout)
    with _temporary_directory(layout) as directory:
        manifest = extract_backup(file, directory)
        _check_content(file, DataLayout(directory))
        directory.rename(layout.restore_dir)
        sync_directory(layout.data_dir)
    complete_restore(layout)
    return manifest


def complete_restore(layout: DataLayout) -> None:
    """Move the files of a decided restore to their places. Does nothing without one; repeatable after a kill.

    Raises:
        PlatformError: ``not-removed``: a file that is to be replaced cannot be removed.
        OSError: A file cannot be moved.
    """
    pending = layout.restore_dir
    try:
        manifest = msgspec.json.decode((pending / MANIFEST_NAME).read_bytes(), type=BackupManifest)
    except FileNotFoundError:
        remove_tree(pending)  # it was complete, and killed while it removed the directory
        return
    restored = {one.name.partition("/")[0] for one in manifest.files}
    if (pending / layout.database.name).exists():
        for name in _RESTORED:
            if (pending / name).exists() or name not in restored:
                _replace(pending / name, layout.data_dir / name)
        # Code is named by function and generation, both of which the restored database may give to other code.
        for obsolete in ("deployments", f"{layout.database.name}-wal", f"{layout.database.name}-shm"):
            _remove(layout.data_dir / obsolete)
        _replace(pending / layout.database.name, layout.database)
    sync_directory(layout.data_dir)
    (pending / MANIFEST_NAME).unlink()
    remove_tree(pending)


def remove_interrupted_backups(layout: DataLayout) -> None:
    """Remove what backups and restores that were killed left in the data directory."""
    for directory in layout.data_dir.glob(f"{_TEMPORARY_PREFIX}*"):
        remove_tree(directory)


@contextmanager
def _temporary_directory(layout: DataLayout) -> Iterator[Path]:
    """A private directory on the file system of the data, so that files can be linked and renamed."""
    directory = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=layout.data_dir))
    try:
        yield directory
    finally:
        remove_tree(directory)


def _copy_store(layout: DataLayout, copy: DataLayout) -> None:
    """Copy the database, and link the archives that the copy refers to. Those that are missing were lost before."""
    layout.blobs_dir.mkdir(mode=0o700, exist_ok=True)
    with kept_archives(layout.blobs_dir):
        _copy_database(layout.database, copy.database)
        with closing(Store(copy.database)) as store:
            referenced = store.archives()
        for sha256 in referenced:
            with suppress(FileNotFoundError):
                _link(layout.blobs_dir / sha256, copy.blobs_dir / sha256)


def _copy_database(file: Path, target: Path) -> None:
    if not (file.exists() and file.stat().st_size):
        raise store_missing_error(file)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)  # in one step, which is one read transaction
    except sqlite3.OperationalError as error:
        raise OSError(errno.EIO, str(error), str(file)) from None
    except sqlite3.DatabaseError as error:
        raise store_damaged_error(file, error) from None


def _link(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except FileNotFoundError:
        raise
    except OSError:  # the file system has no links
        shutil.copyfile(file, target)


def _check_content(file: Path, layout: DataLayout) -> None:
    """Check that files belong together and can be read, before they replace others.

    Raises:
        PlatformError: ``backup-invalid``, ``store-newer``.
    """
    try:
        if not layout.database.exists():
            raise store_missing_error(layout.database)
        store, _ = open_store(layout)
        with closing(store):
            store.check_records()
    except PlatformError as error:
        if error.code == "store-newer":
            raise
        raise invalid_backup_error(file, error.message) from None
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise invalid_backup_error(file, str(error)) from None


def _replace(source: Path, target: Path) -> None:
    """Move a file or directory to a place that is cleared first; only clear it if there is no source."""
    _remove(target)
    if source.exists():
        source.rename(target)


def _remove(path: Path) -> None:
    if not remove_tree(path):
        raise PlatformError(
            f"{path} could not be removed.",
            code="not-removed",
            hint="Remove it by hand as the user that owns it, then run `fnkit platform start`, which continues.",
        )
