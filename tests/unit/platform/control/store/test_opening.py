"""Opening a data directory: what was lost or damaged is recognised, and nothing is created or deleted then."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.opening import open_store
from fnkit.platform.model.settings import DataLayout
from tests.support.stored_records import insert_functions, namespace_record


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    """A data directory with a namespace and two functions, whose archives exist."""
    layout = DataLayout(tmp_path)
    store, _ = open_store(layout)
    with store.transaction():
        store.namespaces.insert(namespace_record("n1"))
        insert_functions(store, BlobStore(layout.blobs_dir), "a", "b")
    store.close()
    return layout


def contents(layout: DataLayout) -> dict[str, bytes]:
    files = (one for one in layout.data_dir.rglob("*") if one.is_file() and not one.name.endswith("-shm"))
    return {str(one): one.read_bytes() for one in files}


def truncate_database(layout: DataLayout, size: int) -> None:
    with layout.database.open("r+b") as file:
        file.truncate(size)


def damage_database(layout: DataLayout) -> None:
    with layout.database.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 3)
        file.write(b"\xff" * (size // 3))


def remove_archives(layout: DataLayout) -> None:
    for blob in layout.blobs_dir.iterdir():
        blob.unlink()


def replace_key(layout: DataLayout) -> None:
    layout.key_file.write_bytes(bytes(32))


LOSSES: dict[str, tuple[Callable[[DataLayout], object], str]] = {
    "no database": (lambda layout: layout.database.unlink(), "store-missing"),
    "empty database": (lambda layout: truncate_database(layout, 0), "store-missing"),
    "truncated header": (lambda layout: truncate_database(layout, 50), "store-missing"),
    "truncated database": (lambda layout: truncate_database(layout, 3 * 4096), "store-damaged"),
    "truncated page": (lambda layout: truncate_database(layout, 3 * 4096 + 100), "store-damaged"),
    "damaged database": (damage_database, "store-damaged"),
    "foreign database": (lambda layout: layout.database.write_bytes(b"text" * 4096), "store-damaged"),
    "no key": (lambda layout: layout.key_file.unlink(), "key-missing"),
    "truncated key": (lambda layout: layout.key_file.write_bytes(b"short"), "key-unusable"),
    "another key": (replace_key, "key-unusable"),
    "no archives": (remove_archives, "archives-missing"),
}


@pytest.mark.parametrize(("lose", "code"), LOSSES.values(), ids=LOSSES)
def test_loss_is_refused_every_time_and_nothing_changes(
    layout: DataLayout, lose: Callable[[DataLayout], object], code: str
) -> None:
    lose(layout)
    before = contents(layout)

    for _ in range(2):
        with pytest.raises(PlatformError) as caught:
            open_store(layout)
        assert caught.value.code == code
        assert caught.value.hint
        assert contents(layout) == before


def test_lost_wal_of_a_new_database_is_refused(tmp_path: Path) -> None:
    """The state that killed processes used to leave: 4 KB of database, and everything else in the lost WAL."""
    layout = DataLayout(tmp_path)
    open_store(layout)[0].close()
    layout.database.unlink()
    connection = sqlite3.connect(layout.database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert layout.database.stat().st_size == 4096

    for _ in range(2):
        with pytest.raises(PlatformError, match="missing or empty"):
            open_store(layout)


def test_wal_of_a_missing_database_is_kept(layout: DataLayout) -> None:
    store = Store(layout.database)
    with store.transaction():
        store.key_values.put("x", 1)
    wal = layout.database.with_name("platform.db-wal")
    content = wal.read_bytes()
    store.close()
    layout.database.unlink()
    wal.write_bytes(content)
    layout.key_file.unlink()
    remove_archives(layout)

    with pytest.raises(PlatformError, match="missing or empty"):
        open_store(layout)
    assert wal.read_bytes() == content


@pytest.mark.parametrize("version", ["no tables", "no fingerprint"])
def test_first_start_that_was_interrupted_continues(tmp_path: Path, version: str) -> None:
    layout = DataLayout(tmp_path)
    if version == "no tables":
        sqlite3.connect(layout.database).close()
    else:
        Store(layout.database).close()

    store, vault = open_store(layout)
    store.close()
    again, same = open_store(layout)
    again.close()

    assert vault.fingerprint == same.fingerprint


def test_database_of_an_earlier_version_needs_its_key(layout: DataLayout) -> None:
    with sqlite3.connect(layout.database) as connection:
        connection.execute("DELETE FROM facts")
    key = layout.key_file.read_bytes()
    layout.key_file.unlink()

    with pytest.raises(PlatformError, match="missing"):
        open_store(layout)
    layout.key_file.write_bytes(key)
    open_store(layout)[0].close()


def test_one_lost_archive_and_foreign_entries_do_not_end_the_start(layout: DataLayout) -> None:
    lost = hashlib.sha256(b"a").hexdigest()
    (layout.blobs_dir / lost).unlink()
    (layout.blobs_dir / "folder").mkdir()
    (layout.blobs_dir / ".incoming-folder").mkdir()
    (layout.blobs_dir / ("0" * 64)).mkdir()

    open_store(layout)[0].close()
    blobs = BlobStore(layout.blobs_dir)

    assert blobs.hashes() == {hashlib.sha256(b"b").hexdigest()}
    with pytest.raises(PlatformError, match="is missing"):
        blobs.open(lost)


def test_damaged_archive_is_not_opened(layout: DataLayout) -> None:
    name = hashlib.sha256(b"b").hexdigest()
    blobs = BlobStore(layout.blobs_dir)
    with blobs.open(name) as stream:
        assert stream.read() == b"b"
    (layout.blobs_dir / name).write_bytes(b"")

    with pytest.raises(PlatformError, match="is damaged"):
        blobs.open(name)


def test_idle_database_is_complete_without_its_wal(layout: DataLayout) -> None:
    store = Store(layout.database)
    with store.transaction():
        store.key_values.put("x", 1)
    store.checkpoint_if_idle()
    store.checkpoint_if_idle()
    alone = layout.data_dir / "copy.db"
    alone.write_bytes(layout.database.read_bytes())

    copy = Store(alone)
    assert copy.key_values.get("x", int) == 1
    copy.close()
    store.close()
