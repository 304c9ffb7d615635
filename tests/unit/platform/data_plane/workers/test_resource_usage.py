"""Disk usage of a folder, as the limit monitor counts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.resource_usage import disk_usage

UNLIMITED = 1 << 40


def test_files_are_counted_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= disk_usage(str(tmp_path), 0, UNLIMITED) < 1_100_000


def test_folders_and_empty_files_are_counted(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"file-{number}").touch()
    assert disk_usage(str(tmp_path), 0, UNLIMITED) >= 200 * 512


def test_counting_stops_at_the_limit(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "data").write_bytes(b"x" * 1_000_000)
    assert 1_500_000 < disk_usage(str(tmp_path), 0, 1_500_000) < 4_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_deleted_open_file_is_counted_once(tmp_path: Path) -> None:
    before = disk_usage(str(tmp_path), os.getpid(), UNLIMITED)  # the test process also has open files
    with (tmp_path / "data").open("wb") as open_file:
        open_file.write(b"x" * 1_000_000)
        open_file.flush()
        duplicate = os.dup(open_file.fileno())
        (tmp_path / "data").unlink()
        assert disk_usage(str(tmp_path), 0, UNLIMITED) == 0
        assert 1_000_000 <= disk_usage(str(tmp_path), os.getpid(), UNLIMITED) - before < 1_900_000
    os.close(duplicate)
    assert disk_usage(str(tmp_path), os.getpid(), UNLIMITED) - before < 900_000
