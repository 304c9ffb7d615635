"""The metadata of archive entries, read with zipfile."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.archive.zip_format import MAX_ENTRIES, end_of_central_directory
from fnkit.errors import BundleError
from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.project_tree import write_files


def test_entry_times_modes_and_order_are_deterministic(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write_files(
        root,
        {"h.py": "def handle(event, context): ...\n", "run.sh": "", "é.txt": "", "Z": "", "a/b": "x" * 300_000},
    )
    (root / "run.sh").chmod(0o711)
    (root / "Z").chmod(0o666)
    bundle = BundleRun(tmp_path).bundle(project_with(root, function_spec("h", "h.handle")))
    with zipfile.ZipFile(bundle.path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        names = archive.namelist()
    assert names == sorted(names, key=str.encode)
    assert {info.date_time for info in infos.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert {name for name, info in infos.items() if info.external_attr >> 16 == 0o100755} == {"run.sh"}
    assert {info.external_attr >> 16 for name, info in infos.items() if name != "run.sh"} == {0o100644}
    assert {info.create_system for info in infos.values()} == {3}
    assert {info.flag_bits for name, info in infos.items() if name != "é.txt"} == {0}
    assert all(info.extra == b"" and info.comment == b"" for info in infos.values())
    assert {name for name, info in infos.items() if info.compress_type == zipfile.ZIP_DEFLATED} == {"a/b"}


def test_archive_of_known_content_has_known_bytes(tmp_path: Path) -> None:
    write_files(tmp_path / "project", {"h.py": "def handle(event, context):\n    return 1\n", "data.txt": "data"})
    bundling = BundleRun(tmp_path)
    bundle = bundling.bundle(project_with(tmp_path / "project", function_spec("h", "h.handle")))
    with zipfile.ZipFile(bundle.path) as archive:
        fnkit_offset = min(
            info.header_offset for info in archive.infolist() if info.filename.startswith("package/")
        )
    # The bundled fnkit package changes between versions; the bytes before it do not.
    head = bundle.path.read_bytes()[:fnkit_offset]
    assert hashlib.sha256(head).hexdigest() == "5d51cddbf236b499a78762038da7b72b5cc198abc747b5f468efa29e85883d62"


def test_too_many_entries_are_rejected() -> None:
    assert len(end_of_central_directory(MAX_ENTRIES, 0, 0)) == 22
    with pytest.raises(BundleError) as raised:
        end_of_central_directory(MAX_ENTRIES + 1, 0, 0)
    assert raised.value.code == "too-many-files"
