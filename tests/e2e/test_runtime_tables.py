"""A platform with an older runtime table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import api_get, running_platform


@pytest.mark.long
@pytest.mark.slow
def test_older_runtime_table_lists_its_own_runtimes(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home", "--runtime-table", "2025-12-15") as platform:
        runtimes = api_get(platform, "runtimes")
        listed = runtimes["runtimes"]
        assert isinstance(listed, list)
        statuses = {one["name"]: one["status"] for one in listed}
    assert runtimes["total_count"] == 34
    assert statuses["python310"] == "available"
    assert "node26" not in statuses
