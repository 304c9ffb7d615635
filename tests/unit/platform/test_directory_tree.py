"""Directory trees that strangers filled are removed and walked whatever they contain."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from fnkit.platform.directory_tree import TreeChanged, remove_tree, walk_tree
from tests.support.deep_directories import nest_directories
from tests.support.project_tree import write_files

DEEP = 1500
"""Levels: more than the interpreter's recursion limit, and with long names more than a path can have."""


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("name", ["d" * 250, pytest.param("d", marks=pytest.mark.long)])
def test_deep_tree_is_removed_without_using_descriptors(tmp_path: Path, name: str) -> None:
    nest_directories(tmp_path / "tree", DEEP, name)
    before = open_descriptors()
    assert remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []
    assert open_descriptors() == before


@pytest.mark.parametrize("name", ["d" * 250, pytest.param("d", marks=pytest.mark.long)])
def test_deep_tree_is_walked_completely(tmp_path: Path, name: str) -> None:
    nest_directories(tmp_path / "tree", DEEP, name)
    before = open_descriptors()
    entries = list(walk_tree(tmp_path / "tree"))
    assert sum(entry.is_directory for entry in entries) == DEEP
    assert [entry.name for entry in entries if not entry.is_directory] == ["file"] * DEEP
    assert open_descriptors() == before
    remove_tree(tmp_path / "tree")


def test_walk_changes_no_access_times(tmp_path: Path) -> None:
    """A walk that writes waits for the disk, and then a disk limit is noticed too late."""
    folders = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    folders[-1].mkdir(parents=True)
    for folder in folders:
        os.utime(folder, (1, 2))  # read before it was changed: the next read would be recorded
    assert len(list(walk_tree(tmp_path))) == 2
    assert [folder.stat().st_atime for folder in folders] == [1, 1, 1]


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o600])
def test_directories_without_permissions_are_removed(tmp_path: Path, mode: int) -> None:
    write_files(tmp_path / "tree", {"a/b/c/file": "", "a/b/other": "", "top": ""})
    for path in ("a/b/c", "a/b", "a", "."):
        (tmp_path / "tree" / path).chmod(mode)
    assert remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    write_files(tmp_path, {"outside/kept": "1", "tree/file": ""})
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    assert [entry.name for entry in walk_tree(tmp_path / "tree") if entry.is_directory] == []
    assert remove_tree(tmp_path / "tree")
    assert remove_tree(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (tmp_path / "outside" / "kept").read_text() == "1"
    with pytest.raises(OSError, match="link"):
        next(walk_tree(tmp_path / "link"))


def test_file_and_missing_path_are_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert remove_tree(tmp_path / "file")
    assert remove_tree(tmp_path / "file")


def test_directory_with_more_entries_than_one_batch_is_removed(tmp_path: Path) -> None:
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    for number in range(5000):
        (tmp_path / "tree" / "inner" / str(number)).touch()
    assert remove_tree(tmp_path / "tree")


def test_names_like_those_of_a_removal_do_not_stop_it(tmp_path: Path) -> None:
    write_files(tmp_path / "tree", {".removed-1/.removed-1/x": "", ".removed-1/.removed-2/y/z": ""})
    assert remove_tree(tmp_path / "tree")


def test_move_of_a_directory_during_a_walk_leads_nowhere_else(tmp_path: Path) -> None:
    nest_directories(tmp_path / "tree", 100)
    (tmp_path / "elsewhere").mkdir()
    walk = walk_tree(tmp_path / "tree")
    files = (entry for entry in walk if entry.name == "file")
    assert len(list(islice(files, 100))) == 100
    Path(tmp_path, "tree", *["d"] * 100).rename(tmp_path / "elsewhere" / "d")
    with pytest.raises(TreeChanged):
        next(walk)
