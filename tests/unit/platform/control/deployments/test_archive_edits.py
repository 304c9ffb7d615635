"""Archives put together from the beginning of one and the end of another: what differs, and what is no edit."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from fnkit.contract.platform import ArchiveEnd, EditedFile
from fnkit.platform.control.deployments.archive_edits import NotAnEdit, assemble_archive
from fnkit.platform.control.store.blobs import BlobStore

PACKAGES = {"package/boto.py": b"x = 1\n" * 2000}
FILES = {"main.py": b"first", "data/one.txt": b"one", "data/two.txt": b"two"}


def archive_of(files: Mapping[str, bytes], modes: Mapping[str, int] | None = None) -> bytes:
    """Return an archive with the files in this order."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(member, content)
    return output.getvalue()


def store(blobs: BlobStore, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    digest = writer.finish().sha256
    writer.commit()
    return digest


def end_of(old: bytes, new: bytes, kept: int | None = None) -> ArchiveEnd:
    common = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(old))
    kept = common if kept is None else kept
    return ArchiveEnd(sha256=hashlib.sha256(new).hexdigest(), kept=kept, content=new[kept:])


def changes(folder: Path, old: bytes, new: bytes, kept: int | None = None) -> tuple[EditedFile, ...]:
    blobs = BlobStore(folder / "blobs")
    edit = assemble_archive(blobs, store(blobs, old), end_of(old, new, kept))
    assert blobs.hashes() == {edit.base}, "the new one is stored when a function refers to it"
    edit.commit()
    edit.commit()
    assert blobs.path(edit.blob.sha256).read_bytes() == new
    return tuple(sorted(edit.files, key=lambda one: one.path))


@pytest.mark.parametrize("kept", [None, 0, 5000], ids=["all that is common", "nothing", "a part"])
def test_changed_new_and_removed_files_are_found(tmp_path: Path, kept: int | None) -> None:
    old = archive_of(PACKAGES | FILES)
    new = archive_of({**PACKAGES, "main.py": b"other", "data/two.txt": b"two", "data/three.txt": b"three"})
    assert changes(tmp_path, old, new, kept) == (
        EditedFile(path="data/one.txt"),
        EditedFile(path="data/three.txt", content=b"three"),
        EditedFile(path="main.py", content=b"other"),
    )


def test_equal_archives_have_no_changes(tmp_path: Path) -> None:
    whole = archive_of(PACKAGES | FILES)
    assert changes(tmp_path, whole, whole) == ()


def packed_zeros(size: int) -> bytes:
    """Return an archive with a file that is small only as long as it is packed."""
    output = io.BytesIO(archive_of(PACKAGES | FILES))
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr("data/zeros", bytes(size), zipfile.ZIP_DEFLATED)
    return output.getvalue()


OTHERS: dict[str, tuple[bytes, str]] = {
    "another package": (archive_of({"package/boto.py": b"x = 2\n" * 2000, **FILES}), "dependencies"),
    "a package more": (archive_of({**PACKAGES, "package/other.py": b"", **FILES}), "dependencies"),
    "a package less": (archive_of(FILES), "directories"),
    "a new directory": (archive_of({**PACKAGES, **FILES, "new/file": b""}), "directories"),
    "an executable file": (archive_of(PACKAGES | FILES, {"main.py": stat.S_IFREG | 0o755}), "mode"),
    "a new executable file": (
        archive_of({**PACKAGES, **FILES, "data/run": b""}, {"data/run": stat.S_IFREG | 0o755}),
        "executable",
    ),
    "a link": (archive_of({**PACKAGES, **FILES, "link": b"main.py"}, {"link": stat.S_IFLNK | 0o777}), "files"),
    "a path outside": (archive_of({**PACKAGES, **FILES, "data/../../x": b""}), "directories"),
    "much that may differ": (packed_zeros(5 << 20), "may differ"),
    "no archive": (b"PK" + b"\0" * 5000, "cannot be read"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_is_no_edit_and_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    new, reason = OTHERS[name]
    with pytest.raises(NotAnEdit, match=reason):
        changes(tmp_path, archive_of(PACKAGES | FILES), new)
    assert len(list((tmp_path / "blobs").iterdir())) == 1


def test_end_of_another_archive_is_rejected(tmp_path: Path) -> None:
    old, new = archive_of(PACKAGES | FILES), archive_of({**PACKAGES, **FILES, "main.py": b"other"})
    blobs = BlobStore(tmp_path)
    other = store(blobs, archive_of({"package/boto.py": b"y = 1\n" * 2000, **FILES}))
    with pytest.raises(NotAnEdit, match="not the one"):
        assemble_archive(blobs, other, end_of(old, new))
    with pytest.raises(NotAnEdit, match="missing"):
        assemble_archive(blobs, "0" * 64, end_of(old, new))
    assert blobs.hashes() == {other}
