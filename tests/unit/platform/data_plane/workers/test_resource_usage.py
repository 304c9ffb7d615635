"""What a folder takes of a disk, as the watcher counts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.resource_usage import disk_usage

EVERYTHING = 1 << 40


def test_files_count_with_their_blocks(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= disk_usage(str(tmp_path), 0, EVERYTHING) < 1_100_000


def test_folders_and_empty_files_count(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"file-{number}").touch()
    assert disk_usage(str(tmp_path), 0, EVERYTHING) >= 200 * 512


def test_no_more_is_counted_than_is_needed(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "data").write_bytes(b"x" * 1_000_000)
    assert 1_500_000 < disk_usage(str(tmp_path), 0, 1_500_000) < 4_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells what a process holds open")
def test_what_is_removed_and_held_open_counts_once(tmp_path: Path) -> None:
    before = disk_usage(str(tmp_path), os.getpid(), EVERYTHING)  # a test run holds files of its own
    with (tmp_path / "data").open("wb") as held:
        held.write(b"x" * 1_000_000)
        held.flush()
        again = os.dup(held.fileno())
        (tmp_path / "data").unlink()
        assert disk_usage(str(tmp_path), 0, EVERYTHING) == 0
        assert 1_000_000 <= disk_usage(str(tmp_path), os.getpid(), EVERYTHING) - before < 1_900_000
    os.close(again)
    assert disk_usage(str(tmp_path), os.getpid(), EVERYTHING) - before < 900_000
