"""At least once, whatever dies; again only where a death explains it (longer: ``python -m tests.chaos.nats``)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.nats import KILL_TARGETS, NatsChaos
from tests.support.queue_platform import queue_platform


@pytest.mark.slow
@pytest.mark.long
def test_nothing_is_lost_and_nothing_comes_twice_without_a_reason(tmp_path: Path) -> None:
    with queue_platform(tmp_path) as platform:
        outcome = asyncio.run(NatsChaos(platform, seed=7).run(2000, 6.0, KILL_TARGETS))

    assert outcome.lost == set(), outcome
    assert outcome.unexplained == [], outcome
    assert outcome.pending == (0, 0), outcome
    # Acknowledged in the last moment before control was killed, and not recorded any more.
    assert set(outcome.log) <= {"succeeded", "unknown"}, outcome
    assert outcome.log["succeeded"] > 0, outcome
    assert outcome.duplicates <= 20 * len(outcome.kills), outcome
