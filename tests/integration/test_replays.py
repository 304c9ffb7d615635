"""Replays of deliveries: same bytes, a new delivery record, each original replayed once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fnkit.contract.deliveries import LISTED_BODY_MAX_BYTES, DeliveryView, ReplayRequest
from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.store.deliveries import TRUNCATED_BODY_BYTES
from fnkit.platform.model.delivery import Delivery
from tests.support.scheduler_under_test import FakeGateway, ManualMachineClock, SchedulerUnderTest, fake_gateway
from tests.support.stored_records import nats_trigger_record, store_function

BINARY = bytes(range(256)) * 10

Scenario = Callable[[SchedulerUnderTest, FakeGateway], Awaitable[None]]


def run_scenario(home: Path, scenario: Scenario, *, serving: bool = True) -> None:
    """Run a scenario with one trigger, ``t``, of a function."""

    async def run() -> None:
        under_test = SchedulerUnderTest(home, ManualMachineClock(1_800_000_000.0))
        store_function(under_test.store, "f-1", serving=serving)
        with under_test.store.transaction():
            under_test.store.triggers.insert(nats_trigger_record("t", "orders"))
        async with fake_gateway(home) as gateway:
            await scenario(under_test, gateway)
            await under_test.kill()

    asyncio.run(run())


def record_delivery(under_test: SchedulerUnderTest, name: str, body: bytes, status: str = "dead") -> None:
    one = Delivery(
        id=name, kind="nats", name="orders", function="hello", at="t", cause="message", body_size=len(body)
    ).with_attempt(http_status=500, duration_ms=1.0, error="HTTP 500")
    under_test.log.record("t", one.finished(status), body)


def replay(under_test: SchedulerUnderTest, **request: object) -> tuple[dict[str, str], dict[str, str]]:
    """Return the new delivery ids and the skip reasons, both by original id."""
    answer = under_test.history.replay("fr-par", "triggers", "t", ReplayRequest(**request))  # type: ignore[arg-type]  # fields named by a test
    return (
        {one.id: one.delivery.id for one in answer.replayed},
        {one.id: one.reason for one in answer.skipped},
    )


def view(under_test: SchedulerUnderTest, name: str) -> DeliveryView:
    return under_test.history.get("fr-par", "triggers", "t", name)


def body_of(delivery: DeliveryView) -> bytes:
    return base64.b64decode(delivery.body) if delivery.is_base64 else delivery.body.encode()


@pytest.mark.parametrize(
    "body", [b"", b"plain", "é\0".encode(), BINARY, b"x" * (TRUNCATED_BODY_BYTES * 4)], ids=len
)
def test_replayed_message_has_the_original_bytes(tmp_path: Path, body: bytes) -> None:
    async def scenario(under_test: SchedulerUnderTest, gateway: FakeGateway) -> None:
        record_delivery(under_test, "d", body)
        assert body_of(view(under_test, "d")) == body
        replayed, skipped = replay(under_test, ids=["d"])
        await under_test.wait_until_idle()
        assert (gateway.received, skipped) == ([body], {})
        again = view(under_test, replayed["d"])
        assert (again.status, again.cause, again.replay_of, again.kind) == ("succeeded", "replay", "d", "nats")
        original = view(under_test, "d")
        assert (original.status, original.replayed_by) == ("dead", again.id)

    run_scenario(tmp_path, scenario)


def test_replay_by_status_is_oldest_first_and_skips_replayed(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, gateway: FakeGateway) -> None:
        for number, status in enumerate(["dead", "failed", "succeeded", "pending", "failed"]):
            record_delivery(under_test, f"d-{number}", b"%d" % number, status)
        assert list(replay(under_test, status="dead")[0]) == ["d-0"]
        assert list(replay(under_test, status="any")[0]) == ["d-1", "d-4"]
        await under_test.wait_until_idle()
        assert replay(under_test, status="any") == ({}, {})
        assert sorted(gateway.received) == [b"0", b"1", b"4"]

    run_scenario(tmp_path, scenario)


def test_failed_replay_is_itself_replayed_next(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, gateway: FakeGateway) -> None:
        gateway.mode = "fails"
        record_delivery(under_test, "d", b"x")
        first = replay(under_test, status="any")[0]["d"]
        await under_test.wait_until_idle()
        assert view(under_test, first).status == "failed"
        gateway.mode = "ok"
        assert list(replay(under_test, status="any")[0]) == [first]
        await under_test.wait_until_idle()
        assert replay(under_test, status="any") == ({}, {})

    run_scenario(tmp_path, scenario)


def test_unreplayable_deliveries_are_skipped_with_reason(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, gateway: FakeGateway) -> None:
        record_delivery(under_test, "cut", b"x" * (TRUNCATED_BODY_BYTES + 1), "succeeded")
        record_delivery(under_test, "busy", b"x", "pending")
        record_delivery(under_test, "fine", b"x", "succeeded")
        assert view(under_test, "cut").is_truncated
        replayed, skipped = replay(under_test, ids=["cut", "busy", "gone", "fine", "fine"])
        await under_test.wait_until_idle()
        assert list(replayed) == ["fine"]
        assert {name: reason[:20] for name, reason in skipped.items()} == {
            "cut": "its stored body is t",
            "busy": "it is still pending",
            "gone": "it is no longer in t",
        }
        assert gateway.received == [b"x"]

    run_scenario(tmp_path, scenario)


def test_replay_is_skipped_when_function_is_not_deployed(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, gateway: FakeGateway) -> None:
        record_delivery(under_test, "d", b"x")
        replayed, skipped = replay(under_test, ids=["d"])
        assert (replayed, list(skipped)) == ({}, ["d"])
        assert view(under_test, "d").replayed_by is None
        assert gateway.received == []

    run_scenario(tmp_path, scenario, serving=False)


@pytest.mark.parametrize(
    "request_", [{}, {"ids": [], "status": "any"}, {"status": "succeeded"}, {"status": ""}, {"ids": ["x"] * 1001}]
)
def test_invalid_replay_request_returns_400(tmp_path: Path, request_: dict[str, object]) -> None:
    async def scenario(under_test: SchedulerUnderTest, _gateway: FakeGateway) -> None:
        with pytest.raises(ControlError) as error:
            replay(under_test, **request_)
        assert error.value.status == 400

    run_scenario(tmp_path, scenario)


@pytest.mark.parametrize(
    "body", ["é" * LISTED_BODY_MAX_BYTES, "a" + "é" * LISTED_BODY_MAX_BYTES, "😀" * LISTED_BODY_MAX_BYTES]
)
def test_list_truncates_bodies_at_character_boundary(tmp_path: Path, body: str) -> None:
    async def scenario(under_test: SchedulerUnderTest, _gateway: FakeGateway) -> None:
        record_delivery(under_test, "d", body.encode())
        (one,) = under_test.history.page("fr-par", "triggers", "t", {}).deliveries
        assert one.is_truncated
        assert not one.is_base64
        assert body.startswith(one.body)
        assert LISTED_BODY_MAX_BYTES - 4 < len(one.body.encode()) <= LISTED_BODY_MAX_BYTES

    run_scenario(tmp_path, scenario)


def test_page_before_pruned_delivery_returns_400(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, _gateway: FakeGateway) -> None:
        record_delivery(under_test, "d", b"")
        with pytest.raises(ControlError, match="before") as error:
            under_test.history.page("fr-par", "triggers", "t", {"before": "displaced"})
        assert error.value.status == 400

    run_scenario(tmp_path, scenario)


def test_pages_cover_every_delivery_once(tmp_path: Path) -> None:
    async def scenario(under_test: SchedulerUnderTest, _gateway: FakeGateway) -> None:
        for number in range(25):
            record_delivery(under_test, f"d-{number:02}", b"", "failed" if number % 2 else "dead")
        for query, expected in (({}, 25), ({"status": "failed"}, 12), ({"failed": "true"}, 25)):
            seen: list[str] = []
            before: str | None = ""
            while before is not None:
                page = under_test.history.page("fr-par", "triggers", "t", {**query, "limit": "4", "before": before})
                assert page.total == expected
                seen += [one.id for one in page.deliveries]
                before = page.next
            assert len(seen) == len(set(seen)) == expected
            assert seen == sorted(seen, reverse=True)

    run_scenario(tmp_path, scenario)
