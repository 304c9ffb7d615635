"""The runtime tables of two snapshot dates."""

from __future__ import annotations

from fnkit.contract.runtimes import RUNTIME_TABLES, RUNTIMES


def test_newest_table_is_the_default() -> None:
    newest = next(iter(RUNTIME_TABLES.values()))
    assert newest.runtimes == RUNTIMES
    assert len(RUNTIMES) == 41


def test_older_table_has_thirteen_available_runtimes() -> None:
    older = RUNTIME_TABLES["2025-12-15"]
    assert len(older.runtimes) == 34
    available = {runtime.name for runtime in older.runtimes if runtime.status == "available"}
    assert available == {
        *("node20", "node22", "python310", "python311", "python312", "python313", "php82", "php83", "php84"),
        *("go122", "go123", "go124", "rust185"),
    }
    assert older.find("python314") is None
    assert {runtime.status_message for runtime in older.runtimes if runtime.status == "available"} == {""}
