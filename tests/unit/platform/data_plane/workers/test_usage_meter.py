"""The usage of disks, and when it is measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.disk_usage import disk_usage
from fnkit.platform.data_plane.workers.usage_meter import DiskMeter

UNLIMITED = 1 << 40
MIB = 1 << 20


def usage(directory: Path, pid: int = 0) -> int:
    return max(disk_usage(str(directory), pid), default=0)


def test_files_are_counted_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= usage(tmp_path) < 1_100_000


def test_folders_and_empty_files_are_counted(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"file-{number}").touch()
    assert usage(tmp_path) >= 200 * 512


def is_exceeded(disk: DiskMeter, now: float) -> bool:
    """Give the disk turns until it needs none, and return whether it reported its limit."""
    while True:
        if disk.take_turn(now):
            return True
        if disk.seconds_until_turn(now):
            return False


def test_disk_is_reported_when_it_exceeds_its_limit(tmp_path: Path) -> None:
    disk = DiskMeter(str(tmp_path), 0, 4 * MIB, now=0)
    (tmp_path / "data").write_bytes(b"x" * 3 * MIB)
    assert not is_exceeded(disk, now=1)
    (tmp_path / "more").write_bytes(b"x" * 2 * MIB)
    assert is_exceeded(disk, now=2)


def test_disk_is_not_walked_before_its_file_system_has_changed(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 2 * MIB)
    disk = DiskMeter(str(tmp_path), 0, MIB, now=0, read_usage=lambda _: 8 * MIB)
    assert disk.seconds_until_turn(0) > 0
    walked_at = next(second for second in range(1, 10) if is_exceeded(disk, now=second))
    assert walked_at == 5


def test_removals_of_others_do_not_hide_what_an_instance_writes(tmp_path: Path) -> None:
    usages = iter([8 * MIB, 6 * MIB, 8 * MIB, 6 * MIB])
    disk = DiskMeter(str(tmp_path), 0, 10 * MIB, now=0, read_usage=lambda _: next(usages))
    assert not is_exceeded(disk, now=1)  # 2 MiB have changed: not walked
    (tmp_path / "data").write_bytes(b"x" * 11 * MIB)
    assert not is_exceeded(disk, now=2)  # 4 MiB
    assert is_exceeded(disk, now=3)  # 6 MiB, although the file system uses less than at first


def test_large_tree_takes_several_turns(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).touch()
    disk = DiskMeter(str(tmp_path), 0, 0, now=0)
    disk_without_limit = DiskMeter(str(tmp_path), 0, UNLIMITED, now=0)
    assert disk.take_turn(6)  # a part of the tree suffices
    assert not disk_without_limit.take_turn(6)
    assert disk_without_limit.seconds_until_turn(6) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_deleted_open_file_is_counted_once(tmp_path: Path) -> None:
    before = usage(tmp_path, os.getpid())  # the test process also has open files
    with (tmp_path / "data").open("wb") as open_file:
        open_file.write(b"x" * 1_000_000)
        open_file.flush()
        duplicate = os.dup(open_file.fileno())
        (tmp_path / "data").unlink()
        assert usage(tmp_path) == 0
        assert 1_000_000 <= usage(tmp_path, os.getpid()) - before < 1_900_000
    os.close(duplicate)
    assert usage(tmp_path, os.getpid()) - before < 900_000
