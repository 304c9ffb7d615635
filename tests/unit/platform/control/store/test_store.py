"""The store: constraints, transactions, pagination, encryption and blobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.contract.enums import Status
from fnkit.errors import PlatformError
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.collection import Order, Page
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.records import InvalidTransition, NamespaceRecord, transition
from tests.support.stored_records import namespace_record


def record(number: int, **changes: object) -> NamespaceRecord:
    return namespace_record(f"id-{number}", **{"name": f"n{number:03}", **changes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "platform.db")
    yield one
    one.close()


def test_failed_transaction_is_rolled_back(store: Store) -> None:
    def insert_both() -> None:
        with store.transaction():
            store.namespaces.insert(record(1))
            store.namespaces.insert(record(2, name="n001"))

    with pytest.raises(sqlite3.IntegrityError):
        insert_both()

    assert list(store.namespaces.all()) == []


def test_subscriber_is_called_before_updates_and_deletions_but_not_insertions(store: Store) -> None:
    seen: list[NamespaceRecord | None] = []
    store.namespaces.subscribe(lambda record_id: seen.append(store.namespaces.get(record_id)))
    changed = record(1, description="changed")

    with store.transaction():
        store.namespaces.insert(record(1))
    assert seen == []

    with store.transaction():
        store.namespaces.update(changed)
        store.namespaces.delete("id-1")
    assert seen == [record(1), changed]


def test_committed_record_is_read_after_reopening(tmp_path: Path) -> None:
    first = Store(tmp_path / "platform.db")
    with first.transaction():
        first.namespaces.insert(record(1, environment={"é": "\n"}, tags=("a",)))
    second = Store(tmp_path / "platform.db")  # without closing the first, as after kill -9
    found = second.namespaces.get("id-1")
    second.close()
    first.close()

    assert found == record(1, environment={"é": "\n"}, tags=("a",))


def test_pages_contain_each_record_once_in_any_order(store: Store) -> None:
    with store.transaction():
        for number in (3, 1, 2, 5, 4):
            store.namespaces.insert(record(number))

    for order, expected in (
        (Order(), ["n003", "n001", "n002", "n005", "n004"]),
        (Order(descending=True), ["n004", "n005", "n002", "n001", "n003"]),
        (Order("name"), ["n001", "n002", "n003", "n004", "n005"]),
    ):
        pages = [store.namespaces.ids({"region": "fr-par"}, order, Page(number, 2)) for number in (1, 2, 3, 4)]
        assert [f"n{one[3:]:0>3}" for page in pages for one in page] == expected
        assert pages[3] == []


def test_ciphertext_decrypts_only_with_its_owner_name_and_key(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "keys" / "platform.key")
    ciphertext = vault.encrypt("f1", "KEY", "value")

    assert Vault(tmp_path / "keys" / "platform.key").decrypt("f1", "KEY", ciphertext) == "value"
    assert b"value" not in ciphertext
    for owner, key in (("f2", "KEY"), ("f1", "OTHER")):
        with pytest.raises(PlatformError, match="cannot be decrypted"):
            vault.decrypt(owner, key, ciphertext)
    with pytest.raises(PlatformError, match="cannot be decrypted"):
        Vault(tmp_path / "other" / "platform.key").decrypt("f1", "KEY", ciphertext)


def test_blob_exists_only_after_commit_and_leftovers_are_removed(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    writer = blobs.writer()
    writer.write(b"content")
    blob = writer.finish()
    assert blobs.hashes() == set()
    writer.commit()
    assert blobs.hashes() == {blob.sha256}

    (tmp_path / "blobs" / ".incoming-half").write_bytes(b"partial")
    assert BlobStore(tmp_path / "blobs").hashes() == {blob.sha256}
    assert len(list((tmp_path / "blobs").iterdir())) == 1


def test_full_disk_leaves_the_store_unchanged(store: Store) -> None:
    with store.transaction():
        store.namespaces.insert(record(1))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(sqlite3.OperationalError, match="full"), store.transaction():
        store.namespaces.insert(record(2, description="x" * 10**6))

    assert [one.id for one in store.namespaces.all()] == ["id-1"]


def test_invalid_status_transition_is_rejected() -> None:
    with pytest.raises(InvalidTransition, match="cannot change from deleting to ready"):
        transition(record(1, status=Status.DELETING), Status.READY)
