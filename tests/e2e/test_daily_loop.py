"""Three applications, from ``fnkit new`` to ``fnkit destroy``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.daily_loop import APPLICATIONS

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application_is_created_developed_deployed_broken_corrected_and_destroyed(
    tmp_path: Path, name: str
) -> None:
    APPLICATIONS[name](tmp_path, print)
