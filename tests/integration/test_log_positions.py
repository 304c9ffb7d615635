"""How far the logs of Pods were read survives the process that read them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from fnkit.platform.data_plane.kubernetes.log_positions import LogPositions
from tests.support.waiting import wait_until_async


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 60))


def test_positions_are_written_without_being_asked(tmp_path: Path) -> None:
    async def work() -> None:
        positions = LogPositions(tmp_path / "positions")
        positions.advance("a", "2026-01-01T00:00:00.000000001Z")
        positions.advance("b", "2026-01-01T00:00:00.000000002Z")
        positions.forget("b")
        await wait_until_async((tmp_path / "positions").exists)
        later = LogPositions(tmp_path / "positions")
        assert (later.get("a"), later.get("b")) == ("2026-01-01T00:00:00.000000001Z", "")

    run(work)


def test_damaged_file_is_like_none(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "positions").write_bytes(b"\xff{")
        assert LogPositions(tmp_path / "positions").get("a") == ""

    run(work)


def test_full_disk_loses_positions_only(tmp_path: Path) -> None:
    async def work() -> None:
        positions = LogPositions(tmp_path / "missing" / "positions")
        positions.advance("a", "2026-01-01T00:00:00.000000001Z")
        positions.save()
        assert positions.get("a") == "2026-01-01T00:00:00.000000001Z"

    run(work)
