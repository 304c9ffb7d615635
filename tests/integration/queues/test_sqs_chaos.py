"""The short variant of ``tests.chaos.sqs``: each fault once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sqs import FAULTS, running_sqs_chaos

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_no_message_is_lost_and_groups_stay_ordered_during_failures(tmp_path: Path) -> None:
    with running_sqs_chaos(tmp_path, "fauxqs") as chaos:
        result = chaos.run(250, FAULTS, 0.05)

    assert (result.lost, result.unexplained, result.disordered) == ([], [], [])
