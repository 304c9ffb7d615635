"""Only what everybody may read becomes part of a layer, with the links that lead to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.platform.control.images.layer import EntryKind
from fnkit.platform.control.images.machine_files import MachineFiles


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files, links and what is private."""
    top = tmp_path.resolve() / "tree"
    (top / "inner").mkdir(parents=True)
    (top / "private").mkdir()
    for path in ("file", "program", "secret", "inner/file", "private/file"):
        (top / path).write_text(path)
        (top / path).chmod(0o644)
    (top / "program").chmod(0o4711 | 0o444)
    (top / "secret").chmod(0o600)
    (top / "private").chmod(0o700)
    for link, target in (
        ("to-file", "inner/../file"),
        ("to-link", str(top / "to-file")),
        ("to-directory", "inner"),
        ("to-secret", "secret"),
        ("to-nothing", "nothing"),
        ("to-itself", "to-itself"),
        ("to-root", "/"),
    ):
        (top / link).symlink_to(target)
    return top


def collected(files: MachineFiles, top: Path) -> dict[str, tuple[EntryKind, int, str]]:
    prefix = str(top).lstrip("/")
    return {
        entry.path.removeprefix(prefix): (
            entry.kind, entry.mode if entry.kind is EntryKind.FILE else 0, entry.target
        )
        for entry in files.entries
    }  # fmt: skip


def test_tree_has_its_public_files_and_the_links_that_lead_to_them(tree: Path) -> None:
    files = MachineFiles()
    found = files.add_tree(str(tree))
    assert found == [str(tree / name) for name in ("file", "program", "inner/file")]
    assert collected(files, tree) == {
        "": (EntryKind.DIRECTORY, 0, ""),
        "/file": (EntryKind.FILE, 0o644, ""),
        "/program": (EntryKind.FILE, 0o755, ""),
        "/inner": (EntryKind.DIRECTORY, 0, ""),
        "/inner/file": (EntryKind.FILE, 0o644, ""),
        "/to-file": (EntryKind.LINK, 0, "inner/../file"),
        "/to-link": (EntryKind.LINK, 0, str(tree / "to-file")),
        "/to-directory": (EntryKind.LINK, 0, "inner"),
    }


def test_file_behind_links_is_found_with_each_of_them(tree: Path) -> None:
    files = MachineFiles()
    assert files.add(str(tree / "to-directory" / ".." / "to-link"))
    assert collected(files, tree) == {
        "/file": (EntryKind.FILE, 0o644, ""),
        "/to-file": (EntryKind.LINK, 0, "inner/../file"),
        "/to-link": (EntryKind.LINK, 0, str(tree / "to-file")),
        "/to-directory": (EntryKind.LINK, 0, "inner"),
    }
    assert str(tree / "to-link") in files
    assert str(tree / "inner" / "file") not in files


@pytest.mark.parametrize("name", ["secret", "to-secret", "to-nothing", "to-itself", "to-root", "nothing"])
def test_what_is_private_or_missing_is_left_out_without_a_trace(tree: Path, name: str) -> None:
    files = MachineFiles()
    assert not files.add(str(tree / name))
    assert files.entries == []


def test_skipped_directories_and_rejected_files_are_left_out(tree: Path) -> None:
    files = MachineFiles()
    files.add_tree(str(tree), skip=lambda name: name == "inner", accepts=lambda path: path.name != "program")
    assert {"/inner/file", "/program"} & set(collected(files, tree)) == set()
    assert "/file" in collected(files, tree)
