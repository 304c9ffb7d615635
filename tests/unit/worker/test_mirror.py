"""The copy of a function's sources for its compiler."""

from __future__ import annotations

import os
from pathlib import Path

from fnkit.worker.mirror import mirror

OLD = 1_000_000_000_000_000_000


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_copy_becomes_like_the_source_and_unchanged_files_keep_their_times(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    write(source, {"same": "x", "changed": "new", "folder/file": "y", "was-folder": "z", "tool.sh": "#!"})
    (source / "tool.sh").chmod(0o755)
    (source / "link").symlink_to("same")
    (source / "was-file").mkdir()
    write(
        copy, {"same": "x", "changed": "old", "gone/file": "", "was-folder/file": "", "was-file": "", "kept": "k"}
    )
    (copy / "link").symlink_to("/etc/passwd")
    for path in (source / "same", copy / "same"):
        os.utime(path, ns=(OLD if path.parent == copy else OLD + 1,) * 2)

    mirror(str(source), str(copy), {"kept"})

    assert content(copy) == {**content(source), "kept": "k"}
    assert (copy / "same").stat().st_mtime_ns == OLD
    assert (copy / "was-file").is_dir()
    assert os.access(copy / "tool.sh", os.X_OK)


def test_link_that_an_earlier_build_left_is_replaced_not_written_through(tmp_path: Path) -> None:
    source, copy, outside = tmp_path / "source", tmp_path / "copy", tmp_path / "outside"
    write(source, {"file": "new", "folder/file": "new"})
    write(outside, {"file": "untouched", "folder/file": "untouched"})
    copy.mkdir()
    (copy / "file").symlink_to(outside / "file")
    (copy / "folder").symlink_to(outside / "folder")

    mirror(str(source), str(copy), set())

    assert content(copy) == content(source)
    assert set(content(outside).values()) == {"untouched"}
