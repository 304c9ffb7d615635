"""NATS messages while processes are killed: at least once, and duplicates only near a kill.

``python -m tests.chaos.nats`` runs this longer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.chaos import VICTIMS, Chaos
from tests.support.queues import queue_platform


@pytest.mark.slow
@pytest.mark.long
def test_no_message_is_lost_and_every_duplicate_is_explained_by_a_kill(tmp_path: Path) -> None:
    with queue_platform(tmp_path) as platform:
        outcome = asyncio.run(Chaos(platform, seed=7).run(2000, 6.0, VICTIMS))

    assert outcome.lost == set(), outcome
    assert outcome.unexplained == [], outcome
    assert outcome.left == (0, 0), outcome
    # Unknown: acknowledged just before control was killed, so the outcome was not recorded.
    assert set(outcome.log) <= {"succeeded", "unknown"}, outcome
    assert outcome.log["succeeded"] > 0, outcome
    assert outcome.duplicates <= 20 * len(outcome.kills), outcome
