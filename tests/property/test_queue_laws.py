"""Laws of queue triggers' pure parts: whose broker, which stream, how many are asked for, when one is due."""

from __future__ import annotations

import asyncio
import itertools
import re

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


def named(selector: Selector) -> set[str]:
    return {name for name in ("account", "project", "region") if getattr(selector, name) is not None}


@given(SELECTORS, NAMES, NAMES, NAMES, st.randoms())
def test_the_most_specific_broker_wins_in_whatever_order_they_stand(
    selectors: list[Selector], account: str, project: str, region: str, random: object
) -> None:
    brokers = [NatsBroker(url=f"nats://{number}", selector=one) for number, one in enumerate(selectors)]
    found = most_specific(brokers, account, project, region)
    fitting = [one for one in brokers if one.selector.matches(account, project, region)]

    assert (found is None) == (fitting == [])
    if found is not None:
        assert found in fitting
        assert all(not named(one.selector) > named(found.selector) for one in fitting)
        assert all(len(named(one.selector)) <= len(named(found.selector)) for one in fitting)
        random.shuffle(brokers)  # type: ignore[attr-defined]  # hypothesis' own Random
        assert most_specific(brokers, account, project, region) == found


def matches(pattern: str, words: list[str]) -> bool:
    """The plain reading of a pattern, as a regular expression."""
    parts = [{"*": r"[^.]+", ">": r"[^.]+(\.[^.]+)*"}.get(word, word) for word in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts), ".".join(words)) is not None


@given(PATTERNS, PATTERNS)
def test_a_pattern_covers_another_only_where_it_stands_for_all_of_it(wide: str, narrow: str) -> None:
    subjects = [list(words) for size in range(1, 6) for words in itertools.product("ab", repeat=size)]
    stands_for_all = all(matches(wide, words) for words in subjects if matches(narrow, words))

    assert subject_matches([wide], narrow) == stands_for_all


@given(PATTERNS, WORDS)
def test_a_pattern_covers_a_subject_as_it_reads(pattern: str, words: list[str]) -> None:
    assert subject_matches([pattern], ".".join(words)) == matches(pattern, words)


@given(st.lists(st.sampled_from([None, 200, 299, 300, 404, 500, 503]), max_size=12))
def test_a_message_is_given_up_after_four_failures_and_never_for_what_nobody_answered(
    statuses: list[int | None],
) -> None:
    delivery = Delivery(id="d", kind="nats", name="n", function="f", at="now")
    failed = 0
    for status in statuses:
        delivery = delivery.with_attempt(http_status=status, duration_ms=1.0)
        judged = decide(DeliveryOutcome(status, 1.0), delivery, None)
        failed += status is not None and status >= 300
        if status is None:
            assert judged is RetryDecision.RETRY_NOW
        elif status < 300:
            assert judged is RetryDecision.ACK
            return
        else:
            assert judged is (RetryDecision.GIVE_UP if failed >= MAX_ATTEMPTS else RetryDecision.RETRY_LATER)
            if failed >= MAX_ATTEMPTS:
                return


@settings(deadline=None)
@given(st.integers(0, 6), st.lists(st.sampled_from(["hand", "offer", "cancel"]), max_size=40))
def test_an_intake_loses_nothing_and_wants_what_hands_can_take(ahead: int, steps: list[str]) -> None:
    async def scenario() -> None:
        intake, hands, offered = Prefetch(), list[asyncio.Task[Message]](), 0
        intake.limit = ahead
        for step in steps:
            if step == "hand":
                hands.append(asyncio.ensure_future(intake.get()))
            elif step == "cancel":
                waiting = [hand for hand in hands if not hand.done()]
                if waiting:
                    waiting[0].cancel()
            else:
                intake.put(CoreMessage(intake, "", b"%d" % offered))
                offered += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            free = sum(not hand.done() for hand in hands)
            assert intake.demand == free - len(intake.buffered) + ahead
            assert not (free and intake.buffered)
        got = [hand.result().body for hand in hands if hand.done() and not hand.cancelled()]
        rest = [message.body for message in intake.buffered]
        assert sorted(got + rest, key=int) == [b"%d" % number for number in range(offered)]
        for hand in hands:
            hand.cancel()
        await asyncio.gather(*hands, return_exceptions=True)

    asyncio.run(scenario())


def test_a_message_that_no_broker_keeps_comes_again_from_memory() -> None:
    async def scenario() -> None:
        intake = Prefetch()
        message = CoreMessage(intake, "", b"x")
        await message.nack(0)
        again = await intake.get()
        assert (again.id, again.body, again.deliveries) == (message.id, b"x", 2)

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=20), st.integers(0, 60))
def test_what_is_parked_comes_out_when_it_is_due_and_not_before(
    parked: list[tuple[int, int]], advanced: int
) -> None:
    async def scenario() -> None:
        clock = VirtualClock(ClockState(platform_time=1000.0, real_time=1000.0, speed=0.0))
        parking: RetryQueue[int] = RetryQueue(clock)
        for number, (delay, size) in enumerate(parked):
            assert parking.put(number, size, 1000.0 + delay)
        assert all(parked[number][0] == 0 for number in parking.pop_due())
        clock.advance(advanced)
        due = parking.pop_due()
        assert sorted(due) == [n for n, (delay, _) in enumerate(parked) if 0 < delay <= advanced]
        assert [parked[number][0] for number in due] == sorted(parked[number][0] for number in due)

    asyncio.run(scenario())


@given(st.lists(st.integers(0, 30), max_size=60))
def test_the_newest_finished_messages_are_known(ids: list[int]) -> None:
    finished = RecentIds()
    for one in ids:
        finished.add(str(one))
    assert all(str(one) in finished for one in ids)
    assert "none" not in finished
