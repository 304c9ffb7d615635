"""What a folder takes of a disk, as the watcher counts it."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.engine.watcher import _disk_usage

EVERYTHING = 1 << 40


def test_files_count_with_their_blocks(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= _disk_usage(str(tmp_path), EVERYTHING) < 1_100_000


def test_folders_and_empty_files_count(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"file-{number}").touch()
    assert _disk_usage(str(tmp_path), EVERYTHING) >= 200 * 512


def test_no_more_is_counted_than_is_needed(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "data").write_bytes(b"x" * 1_000_000)
    assert 1_500_000 < _disk_usage(str(tmp_path), 1_500_000) < 4_000_000
