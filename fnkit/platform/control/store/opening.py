"""Opening the database and the key file of a data directory, which belong together.

A lost one must not look like a new platform: the archives would be deleted as unreferenced, and the secrets become
unreadable for good. The key file is therefore created after the database, which names the key that it belongs to.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.control.store.blobs import archive_names
from fnkit.platform.control.store.database import RECOVERY_HINT, Store, store_missing_error
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.settings import DataLayout

KEY_FINGERPRINT: Final = "key_fingerprint"
"""Name of the value in the database that identifies its key file."""


def open_store(layout: DataLayout) -> tuple[Store, Vault]:
    """Open the database and the key file, or create both for a new platform. Nothing is deleted.

    Raises:
        PlatformError: ``store-missing``: there is no database, but a key or archives of one. ``store-damaged``,
            ``store-newer``: the database cannot be read. ``key-missing``, ``key-unusable``: the key file of this
            database does not exist, or another one does. ``archives-missing``: not one archive of the database
            exists.
        sqlite3.OperationalError: The disk is full, or another process locks the database.
        OSError: A file cannot be read or created.
    """
    file = layout.database
    has_remains = layout.key_file.exists() or bool(archive_names(layout.blobs_dir))
    # SQLite would create the file, and delete the WAL of a missing one, which may hold all of its content.
    if not (file.exists() and file.stat().st_size) and (has_remains or file.with_name(f"{file.name}-wal").exists()):
        raise store_missing_error(file)
    store = Store(file, create=not has_remains)
    try:
        vault = _open_vault(layout, store)
        _check_archives(layout, store)
    except BaseException:
        store.close()
        raise
    return store, vault


def check_store(layout: DataLayout) -> None:
    """Check the database and the key file before a start; create or migrate them.

    Raises:
        PlatformError: As ``open_store``.
        OSError: A file cannot be read or created.
    """
    try:
        store, _ = open_store(layout)
    except sqlite3.OperationalError:
        return  # a full disk, perhaps for a moment: control retries
    store.close()


def _open_vault(layout: DataLayout, store: Store) -> Vault:
    file = layout.key_file
    fingerprint = store.key_values.get(KEY_FINGERPRINT, str)
    # Databases of earlier versions have no fingerprint. One without records may be that of an interrupted start.
    if not file.exists() and (fingerprint is not None or store.namespaces.count({})):
        raise PlatformError(
            f"The key file {file} is missing. Without it, the secrets in the database cannot be decrypted.",
            code="key-missing",
            hint=RECOVERY_HINT,
        )
    vault = Vault(file)
    if fingerprint is None:
        with store.transaction():
            store.key_values.put(KEY_FINGERPRINT, vault.fingerprint)
    elif fingerprint != vault.fingerprint:
        raise PlatformError(
            f"{file} is not the key of the database {layout.database}.",
            code="key-unusable",
            hint="Restore the database and the key of one platform, for example with `fnkit platform restore`.",
        )
    return vault


def _check_archives(layout: DataLayout, store: Store) -> None:
    """Check that the directory of archives is there. One lost archive concerns only its function."""
    expected = store.archives()
    if expected and not expected & archive_names(layout.blobs_dir):
        raise PlatformError(
            f"The archives of all functions are missing in {layout.blobs_dir}.",
            code="archives-missing",
            hint=RECOVERY_HINT,
        )
