"""The delivery log over a real store: retention, body limits and durability."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.deliveries import FULL_BODIES_BUDGET, KEPT_PER_GROUP, TRUNCATED_BODY_BYTES
from fnkit.platform.model.delivery import ATTEMPTS_KEPT, Delivery
from tests.support.stored_records import store_cron
from tests.support.waiting import wait_until_async

SOURCE = "cron-1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "platform.db")
    store_cron(opened, SOURCE)
    yield opened
    opened.close()


def delivery(number: int = 0, **fields: object) -> Delivery:
    known: dict[str, object] = {"kind": "cron", "name": "n", "function": "f", "at": "now", "status": "succeeded"}
    return Delivery(id=f"d-{number}", **{**known, **fields})  # type: ignore[arg-type]  # fields of Delivery


def run_async(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


def ids(log: DeliveryLog, **filters: object) -> list[str]:
    found = log.table().page(SOURCE, **{"limit": 10_000, **filters})  # type: ignore[arg-type]  # arguments of page()
    return [one.id for one, _ in found]


def test_recorded_delivery_is_readable_at_once_and_written_soon(store: Store, tmp_path: Path) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        log.record(SOURCE, delivery(1, status="pending"), b"body")
        assert store.deliveries.count(SOURCE) == 0
        assert ids(log) == ["d-1"]
        log.record(SOURCE, delivery(2), b"body")
        other = sqlite3.connect(tmp_path / "platform.db")
        statuses = [("pending",), ("succeeded",)]
        await wait_until_async(lambda: other.execute("SELECT status FROM deliveries").fetchall() == statuses, 10)
        other.close()

    run_async(work)


def test_committed_deliveries_are_visible_to_another_connection(store: Store, tmp_path: Path) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        for number in range(3):
            log.record(SOURCE, delivery(number), b"")
        await log.commit()
        other = sqlite3.connect(tmp_path / "platform.db")
        assert other.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0] == 3
        other.close()

    run_async(work)


def test_only_retained_successes_are_created(store: Store) -> None:
    async def work() -> None:
        log, created = DeliveryLog(store), list[int]()

        def make(number: int) -> Delivery:
            created.append(number)
            return delivery(number)

        for number in range(KEPT_PER_GROUP * 5):
            log.record_success(SOURCE, "nats", partial(make, number), b"x" * (TRUNCATED_BODY_BYTES + 1))
        assert created == []
        assert ids(log) == [f"d-{number}" for number in reversed(range(KEPT_PER_GROUP * 4, KEPT_PER_GROUP * 5))]
        assert len(created) == KEPT_PER_GROUP
        log.close()

    run_async(work)


def test_failures_are_written_without_waiting_for_successes(store: Store, tmp_path: Path) -> None:
    async def work() -> None:
        other = sqlite3.connect(tmp_path / "platform.db")

        async def written(*names: str) -> None:
            await wait_until_async(
                lambda: {name for (name,) in other.execute("SELECT id FROM deliveries")} == set(names)
            )

        log = DeliveryLog(store, success_delay=3600.0)
        log.record_success(SOURCE, "nats", lambda: delivery(1), b"")
        log.record(SOURCE, delivery(2, status="failed"), b"")
        await written("d-2")
        log.flush()
        await written("d-1", "d-2")
        assert log._success_delay <= 2.0
        log.record_success(SOURCE, "nats", lambda: delivery(3), b"")
        await written("d-1", "d-2", "d-3")
        other.close()
        log.close()

    run_async(work)


def test_newest_successes_are_kept_and_displace_no_failures(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        for number, status in ((-1, "dead"), (-2, "failed"), (-3, "unknown"), (-4, "pending")):
            log.record(SOURCE, delivery(number, status=status), b"body")
        log.flush()
        for number in range(KEPT_PER_GROUP + 500):
            log.record(SOURCE, delivery(number), b"")
            if number % 100 == 0:
                log.flush()
        kept = ids(log)
        assert KEPT_PER_GROUP < len(kept) <= KEPT_PER_GROUP + 100
        assert kept[0] == f"d-{KEPT_PER_GROUP + 499}"
        assert kept[-4:] == ["d--4", "d--3", "d--2", "d--1"]

    run_async(work)


@pytest.mark.parametrize(
    ("status", "kept"), [("succeeded", TRUNCATED_BODY_BYTES), ("failed", 100_000), ("dead", 100_000)]
)
def test_bodies_of_failures_are_not_truncated(store: Store, status: str, kept: int) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        body = bytes(range(256)) * 1000
        log.record(SOURCE, delivery(1, status="pending", body_size=100_000), body[:100_000])
        log.flush()
        log.record(SOURCE, delivery(1, status=status, body_size=100_000), body[:100_000])
        found = log.table().get(SOURCE, "d-1")
        assert found is not None
        assert found[1] == body[:kept]

    run_async(work)


def test_full_bodies_have_a_budget_and_dead_ones_are_truncated_last(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        large = b"x" * (FULL_BODIES_BUDGET // 4)
        for number, status in enumerate(["dead", "failed", "failed", "failed", "failed"]):
            log.record(SOURCE, delivery(number, status=status, body_size=len(large)), large)
            log.flush()
        sizes = {one.id: len(body) for one, body in log.table().page(SOURCE, limit=9, body_bytes=2**31 - 1)}
        assert [sizes[f"d-{number}"] == len(large) for number in range(5)] == [True, False, True, True, True]
        assert sizes["d-1"] == TRUNCATED_BODY_BYTES

    run_async(work)


def test_deliveries_of_a_deleted_source_are_discarded(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        log.record("deleted", delivery(1), b"")
        log.record(SOURCE, delivery(2), b"")
        log.flush()
        assert store.deliveries.count("deleted") == 0
        assert store.deliveries.count(SOURCE) == 1

    run_async(work)


def test_delivery_is_found_by_message_before_and_after_the_write(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        one = delivery(1, status="pending", message_id="m").with_attempt(
            http_status=500, duration_ms=1.0, error="no"
        )
        log.record(SOURCE, one, b"x")
        assert log.find_by_message(SOURCE, "m") == one
        log.flush()
        assert log.find_by_message(SOURCE, "m") == one
        assert log.find_by_message(SOURCE, "other") is None

    run_async(work)


def test_pending_deliveries_are_marked_failed_or_unknown_after_a_crash(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        log.record(SOURCE, delivery(1, status="pending"), b"a")
        log.record(SOURCE, delivery(2, status="pending", cause="message", message_id="m"), b"b")
        log.record(SOURCE, delivery(3), b"c")
        log.flush()
        with store.transaction():
            DeliveryLog(store).mark_interrupted()
        found = {one.id: (one.status, bool(one.error)) for one, _ in log.table().page(SOURCE, limit=9)}
        assert found == {"d-1": ("failed", True), "d-2": ("unknown", True), "d-3": ("succeeded", False)}

    run_async(work)


def test_failed_delivery_is_written_after_the_disk_was_full(store: Store) -> None:
    async def work() -> None:
        log = DeliveryLog(store)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count={pages}")
        log.record(SOURCE, delivery(1, status="dead"), b"x" * 10**6)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            log.flush()
        store._connection.execute("PRAGMA max_page_count=1000000")
        await log.commit()
        found = log.table().get(SOURCE, "d-1")
        assert found is not None
        assert len(found[1]) == 10**6

    run_async(work)


def test_all_attempts_are_counted_and_the_newest_kept() -> None:
    one = delivery(1, status="pending")
    for number in range(ATTEMPTS_KEPT + 2):
        one = one.with_attempt(http_status=500 + number, duration_ms=1.0, error="e" * 1000)

    assert one.attempts == ATTEMPTS_KEPT + 2
    assert [attempt.http_status for attempt in one.recent_attempts] == list(range(502, 502 + ATTEMPTS_KEPT))
    assert (one.http_status, len(one.error)) == (501 + ATTEMPTS_KEPT, 500)


def test_migration_keeps_the_bodies_of_deliveries(tmp_path: Path) -> None:
    file = tmp_path / "platform.db"
    Store(file).close()
    old = sqlite3.connect(file)
    old.executescript(
        """
        DROP INDEX deliveries_message; DROP INDEX deliveries_source;
        ALTER TABLE deliveries DROP COLUMN body; ALTER TABLE deliveries DROP COLUMN message_id;
        ALTER TABLE deliveries DROP COLUMN replayed_by;
        CREATE INDEX deliveries_source ON deliveries (source_id, seq);
        DROP INDEX crons_region; DROP INDEX crons_project;
        DROP INDEX domains_region; DROP INDEX domains_region_hostname; DROP INDEX domains_project;
        ALTER TABLE crons DROP COLUMN project_id; ALTER TABLE domains DROP COLUMN project_id;
        DROP TABLE images;
        DROP INDEX functions_failed_import; ALTER TABLE functions DROP COLUMN failed_import;
        PRAGMA user_version = 3;
        """
    )
    record = (
        '{"id":"d","kind":"cron","name":"n","function":"f","at":"t","attempts":1,"status":"failed",'
        '"http_status":500,"duration_ms":1.5,"body":"{\\"k\\":\\"é\\"}"}'
    )
    old.execute("INSERT INTO deliveries (id, source_id, status, record) VALUES ('d', 's', 'failed', ?)", (record,))
    old.commit()
    old.close()
    store = Store(file)
    found = store.deliveries.get("s", "d")
    store.close()

    assert found is not None
    assert found[1] == '{"k":"é"}'.encode()
    assert (found[0].status, found[0].http_status, found[0].body_size) == ("failed", 500, len(found[1]))
