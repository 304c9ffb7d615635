"""Fixtures of the tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.verb_tables import PROJECT_WITH_EVERYTHING


@pytest.fixture
def shop(project: Path) -> Path:
    """A valid project with a function, a cron and a trigger."""
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "main.py").write_text(PROJECT_WITH_EVERYTHING)
    return project
