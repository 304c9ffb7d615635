"""Databases of every earlier schema open with their data. ``tests/support/databases`` holds dumps of them.

Each was written by the version of fnkit that had the schema, with the key ``bytes(range(32))``.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fnkit.contract.enums import Status
from fnkit.errors import PlatformError
from fnkit.platform.control.events.queues.nats.durable_consumers import ConsumerRecord
from fnkit.platform.control.store import migrations
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.opening import open_store
from fnkit.platform.model.delivery import Attempt
from fnkit.platform.model.records import SqsSource
from fnkit.platform.model.routing import ClockState
from fnkit.platform.model.settings import DataLayout

DUMPS = sorted((Path(__file__).parents[4] / "support" / "databases").glob("*.sql"))
SCRIPTS = sorted(Path(migrations.__file__).parent.glob("*.sql"))
CREATED_AT = 1_700_000_000 * 10**9


def load(dump: Path, directory: Path) -> DataLayout:
    layout = DataLayout(directory)
    layout.keys_dir.mkdir(parents=True)
    layout.key_file.write_bytes(bytes(range(32)))
    layout.blobs_dir.mkdir()
    (layout.blobs_dir / ("a" * 64)).touch()
    connection = sqlite3.connect(layout.database)
    connection.executescript(dump.read_text())
    connection.close()
    return layout


def version_of(dump: Path) -> int:
    return int(dump.stem.split("_")[1])


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    return [(name, " ".join(line.split("--")[0].strip() for line in sql.splitlines())) for name, sql in rows]


def test_there_is_a_dump_of_each_earlier_schema() -> None:
    assert {version_of(dump) for dump in DUMPS} == set(range(1, len(SCRIPTS)))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_resources_of_an_earlier_schema_are_read(tmp_path: Path, dump: Path) -> None:
    store, vault = open_store(load(dump, tmp_path))
    store.check_records()

    namespace, function = store.namespaces.get("n"), store.functions.get("f")
    assert namespace is not None
    assert function is not None
    assert function.serving is not None
    assert [vault.decrypt("n", one.key, one.ciphertext) for one in namespace.secrets] == ["one", "two"]
    for settings in (function.settings, function.serving.settings):
        assert [vault.decrypt("f", one.key, one.ciphertext) for one in settings.secrets] == ["three"]
        assert settings.environment == {"E": "é"}
    assert namespace.environment == {"sealed": "kept", "since": "kept"}
    assert (function.created_at, function.status, function.archive) == (CREATED_AT, Status.READY, "a" * 64)
    assert store.functions.count({}) == 2
    assert store.get_usage("o") == (2, 2 * 256 * 5)
    store.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_crons_and_deliveries_of_an_earlier_schema_are_read(tmp_path: Path, dump: Path) -> None:
    store, _ = open_store(load(dump, tmp_path))

    cron = store.crons.get("c")
    assert cron is not None
    assert cron.args == {"sealed": 1, "tries": [1]}
    assert cron.schedule_changed_at == (CREATED_AT + 5 if version_of(dump) >= 4 else 0)
    assert store.deliveries.last_scheduled_run("c") == 1_700_000_000
    found = store.deliveries.get("c", "d")
    assert found is not None
    delivery, body = found
    assert (delivery.http_status, delivery.body_size, body) == (500, len(body), "bödy".encode())
    attempts = (Attempt(http_status=500, duration_ms=1.0), Attempt(error="x")) if version_of(dump) >= 4 else ()
    assert delivery.recent_attempts == attempts
    clock = ClockState(platform_time=1_700_000_000, real_time=1_700_000_001)
    assert store.key_values.get("clock", ClockState) == clock
    store.close()


@pytest.mark.parametrize("dump", [dump for dump in DUMPS if version_of(dump) > 1], ids=lambda dump: dump.stem)
def test_domains_and_triggers_of_an_earlier_schema_are_read(tmp_path: Path, dump: Path) -> None:
    store, vault = open_store(load(dump, tmp_path))

    trigger, domain = store.triggers.get("t"), store.domains.get("h")
    assert trigger is not None
    assert isinstance(trigger.source, SqsSource)
    assert vault.decrypt("t", "secret_key", trigger.source.ciphertext) == "four"
    assert domain is not None
    assert domain.hostname == "shop.example.com"
    assert (store.tokens.get("k") is not None) == (version_of(dump) > 2)
    consumers = store.key_values.get("nats_consumers", dict[str, ConsumerRecord])
    if version_of(dump) >= 4:
        expected = ConsumerRecord(
            account="a",
            project="p",
            region="fr-par",
            start_time="2023-11-14T22:13:20Z",
            ack_floors={"s": 7},
            streams_created={"s": "x"},
        )
        assert consumers == {"u": expected}
    store.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_migrated_database_has_the_schema_of_a_new_one(tmp_path: Path, dump: Path) -> None:
    open_store(load(dump, tmp_path))[0].close()
    Store(tmp_path / "new.db").close()

    with sqlite3.connect(tmp_path / "platform.db") as old, sqlite3.connect(tmp_path / "new.db") as new:
        assert schema(old) == schema(new)


def test_records_with_the_new_names_are_not_changed(tmp_path: Path) -> None:
    """Schema 4 was also written with the new names, by versions between the renaming and schema 5."""
    dump = next(dump for dump in DUMPS if version_of(dump) == 5)
    layouts = {version: load(dump, tmp_path / str(version)) for version in (4, 5)}
    with sqlite3.connect(layouts[4].database) as connection:
        connection.execute("PRAGMA user_version = 4")
    contents = []
    for layout in layouts.values():
        open_store(layout)[0].close()
        with sqlite3.connect(layout.database) as migrated:
            contents.append(sorted(migrated.iterdump()))

    assert contents[0] == contents[1]


def test_newer_schema_is_refused_and_not_changed(tmp_path: Path) -> None:
    layout = load(DUMPS[-1], tmp_path)
    with sqlite3.connect(layout.database) as connection:
        connection.execute(f"PRAGMA user_version = {len(SCRIPTS) + 1}")
        before = list(connection.iterdump())

    with pytest.raises(PlatformError, match="newer fnkit") as caught:
        open_store(layout)

    assert caught.value.code == "store-newer"
    with sqlite3.connect(layout.database) as connection:
        assert list(connection.iterdump()) == before
