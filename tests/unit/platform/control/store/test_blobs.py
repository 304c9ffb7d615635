"""The directory of archives."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.control.store.blobs import BlobStore, kept_archives


def test_archives_are_kept_while_a_backup_is_made(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    (tmp_path / ("a" * 64)).touch()
    with kept_archives(tmp_path):
        assert not blobs.remove("a" * 64)
        assert blobs.hashes() == {"a" * 64}
    assert blobs.remove("a" * 64)
    assert blobs.hashes() == set()
