"""The runtime tables of two snapshot dates."""

from __future__ import annotations

import pytest

from fnkit.contract.runtimes import RUNTIME_TABLES, RUNTIMES, substitute_for


def test_newest_table_is_the_default() -> None:
    newest = next(iter(RUNTIME_TABLES.values()))
    assert newest.runtimes == RUNTIMES
    assert len(RUNTIMES) == 41


@pytest.mark.parametrize(
    ("runtime", "target", "substitute"),
    [
        ("python313", "cpython-3.11-x86_64-linux-gnu", "Python 3.11"),
        ("python313", "cpython-3.13-x86_64-linux-gnu", ""),
        ("node24", "node-20.19-x86_64-linux-gnu", "Node 20"),
        ("node24", "node-24.1-x86_64-linux-gnu", ""),
        ("php85", "php-8.2-x86_64-linux-gnu", "PHP 8.2"),
        ("go126", "go-1.25-x86_64-linux-gnu", "Go 1.25"),
        ("rust196", "rust-1.96-x86_64-linux-gnu", ""),
        ("python313", "", ""),
        ("unheard-of", "cpython-3.11-x86_64-linux-gnu", ""),
    ],
)
def test_runtime_that_another_version_runs_is_named(runtime: str, target: str, substitute: str) -> None:
    assert substitute_for(runtime, target) == substitute


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
