"""Laws of queue triggers: broker selection, subject matching, retry decisions, prefetching, the retry queue."""

from __future__ import annotations

import asyncio
import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.platform.brokers.model import NatsBroker, Selector, most_specific
from fnkit.platform.control.events.gateway_client import DeliveryOutcome
from fnkit.platform.control.events.queues.consumer import RecentIds
from fnkit.platform.control.events.queues.interface import Message, Prefetch
from fnkit.platform.control.events.queues.nats.core import CoreMessage
from fnkit.platform.control.events.queues.nats.jetstream import subject_matches
from fnkit.platform.control.events.queues.retries import MAX_ATTEMPTS, RetryDecision, RetryQueue, decide
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.delivery import Delivery
from fnkit.platform.model.routing import ClockState

NAMES = st.sampled_from(["x", "y"])
MAYBE = st.none() | NAMES
SELECTORS = st.lists(st.builds(Selector, account=MAYBE, project=MAYBE, region=MAYBE), unique_by=repr, max_size=12)
WORDS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4)
PATTERNS = st.builds(
    lambda words, more: ".".join([*words, ">"] if more else words),
    st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3),
    st.booleans(),
)


def specified(selector: Selector) -> set[str]:
    return {name for name in ("account", "project", "region") if getattr(selector, name) is not None}


@given(SELECTORS, NAMES, NAMES, NAMES, st.randoms())
def test_most_specific_broker_is_selected_in_any_order(
    selectors: list[Selector], account: str, project: str, region: str, random: object
) -> None:
    brokers = [NatsBroker(url=f"nats://{number}", selector=one) for number, one in enumerate(selectors)]
    found = most_specific(brokers, account, project, region)
    matching = [one for one in brokers if one.selector.matches(account, project, region)]

    assert (found is None) == (matching == [])
    if found is not None:
        assert found in matching
        assert all(not specified(one.selector) > specified(found.selector) for one in matching)
        assert all(len(specified(one.selector)) <= len(specified(found.selector)) for one in matching)
        random.shuffle(brokers)  # type: ignore[attr-defined]  # hypothesis' own Random
        assert most_specific(brokers, account, project, region) == found


def matches(pattern: str, words: list[str]) -> bool:
    """Match words with the pattern converted to a regular expression."""
    parts = [{"*": r"[^.]+", ">": r"[^.]+(\.[^.]+)*"}.get(word, word) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts), ".".join(words)) is not None


@given(PATTERNS, PATTERNS)
def test_pattern_matches_another_if_it_matches_all_its_subjects(wide: str, narrow: str) -> None:
    subjects = [list(words) for size in range(1, 6) for words in itertools.product("ab", repeat=size)]
    matches_all = all(matches(wide, words) for words in subjects if matches(narrow, words))

    assert subject_matches([wide], narrow) == matches_all


@given(PATTERNS, WORDS)
def test_subject_matching_equals_the_regular_expression(pattern: str, words: list[str]) -> None:
    assert subject_matches([pattern], ".".join(words)) == matches(pattern, words)


@given(st.lists(st.sampled_from([None, 300, 404, 500, 503]), max_size=12))
def test_message_is_given_up_after_four_failed_responses(
    statuses: list[int | None],
) -> None:
    delivery = Delivery(id="d", kind="nats", name="n", function="f", at="now")
    failed = 0
    for status in statuses:
        delivery = delivery.with_attempt(http_status=status, duration_ms=1.0)
        decision = decide(DeliveryOutcome(status, 1.0), delivery, None)
        failed += status is not None
        if status is None:
            assert decision is RetryDecision.RETRY_NOW
        else:
            assert decision is (RetryDecision.GIVE_UP if failed >= MAX_ATTEMPTS else RetryDecision.RETRY_LATER)
            if failed >= MAX_ATTEMPTS:
                return


@settings(deadline=None)
@given(st.integers(0, 6), st.lists(st.sampled_from(["get", "put", "cancel"]), max_size=40))
def test_prefetch_loses_no_message_and_demand_matches_free_slots(limit: int, steps: list[str]) -> None:
    async def scenario() -> None:
        prefetch, slots, put_count = Prefetch(), list[asyncio.Task[Message]](), 0
        prefetch.limit = limit
        for step in steps:
            if step == "get":
                slots.append(asyncio.ensure_future(prefetch.get()))
            elif step == "cancel":
                waiting = [slot for slot in slots if not slot.done()]
                if waiting:
                    waiting[0].cancel()
            else:
                prefetch.put(CoreMessage(prefetch, "", b"%d" % put_count))
                put_count += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            free = sum(not slot.done() for slot in slots)
            assert prefetch.demand == free - len(prefetch.buffered) + limit
            assert not (free and prefetch.buffered)
        got = [slot.result().body for slot in slots if slot.done() and not slot.cancelled()]
        rest = [message.body for message in prefetch.buffered]
        assert sorted(got + rest, key=int) == [b"%d" % number for number in range(put_count)]
        for slot in slots:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)

    asyncio.run(scenario())


def test_nacked_core_message_is_redelivered_from_memory() -> None:
    async def scenario() -> None:
        prefetch = Prefetch()
        message = CoreMessage(prefetch, "", b"x")
        await message.nack(0)
        again = await prefetch.get()
        assert (again.id, again.body, again.deliveries) == (message.id, b"x", 2)

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=20), st.integers(0, 60))
def test_retry_queue_returns_messages_when_due_and_not_before(
    entries: list[tuple[int, int]], advanced: int
) -> None:
    async def scenario() -> None:
        clock = VirtualClock(ClockState(platform_time=1000.0, real_time=1000.0, speed=0.0))
        queue: RetryQueue[int] = RetryQueue(clock)
        for number, (delay, size) in enumerate(entries):
            assert queue.put(number, size, delay)
        assert all(entries[number][0] == 0 for number in queue.pop_due())
        clock.advance(advanced)
        due = queue.pop_due()
        assert sorted(due) == [n for n, (delay, _) in enumerate(entries) if 0 < delay <= advanced]
        assert [entries[number][0] for number in due] == sorted(entries[number][0] for number in due)

    asyncio.run(scenario())


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_retry_is_due_after_its_delay_when_the_machine_clock_is_set(
    monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """Not an hour later when the clock is set back, and not at once when it is set forward."""

    async def scenario() -> tuple[list[int], list[int]]:
        clock = VirtualClock.resume(None, 1.0)
        queue: RetryQueue[int] = RetryQueue(clock)
        queue.put(1, 1, 600.0)
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + jump * 10**9)
        early = queue.pop_due()
        clock.advance(600.0)
        return early, queue.pop_due()

    assert asyncio.run(scenario()) == ([], [1])


@given(st.lists(st.integers(0, 30), max_size=60))
def test_recent_ids_contain_the_newest_ids(ids: list[int]) -> None:
    finished = RecentIds()
    for one in ids:
        finished.add(str(one))
    assert all(str(one) in finished for one in ids)
    assert "none" not in finished
