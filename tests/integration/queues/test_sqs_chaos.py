"""The short variant of ``tests.chaos.sqs``: each kind of failure once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sqs import BLOWS, run, scene

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_no_message_is_lost_and_groups_stay_ordered_during_failures(tmp_path: Path) -> None:
    with scene(tmp_path, "fauxqs") as stage:
        findings = run(stage, 250, BLOWS, 0.05)

    assert (findings.lost, findings.unexplained, findings.disordered) == ([], [], [])
