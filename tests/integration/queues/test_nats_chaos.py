"""NATS messages while processes are killed: at least once, and duplicates only near a kill.

``python -m tests.chaos.nats`` runs this longer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.nats import KILL_TARGETS, NatsChaos
from tests.support.queue_platform import queue_platform


@pytest.mark.slow
@pytest.mark.long
def test_no_message_is_lost_and_every_duplicate_is_explained_by_a_kill(tmp_path: Path) -> None:
    with queue_platform(tmp_path) as platform:
        result = asyncio.run(NatsChaos(platform, seed=7).run(2000, 6.0, KILL_TARGETS))

    assert result.lost == set(), result
    assert result.unexplained == [], result
    assert result.pending == (0, 0), result
    # Unknown: acknowledged just before control was killed, so the outcome was not recorded.
    assert set(result.log) <= {"succeeded", "unknown"}, result
    assert result.log["succeeded"] > 0, result
    assert result.duplicates <= 20 * len(result.kills), result
