"""Layers of images: the same files give the same layer, whatever their order, place, times and owners."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.control.images.layer import (
    EntryKind,
    LayerEntry,
    directory_entries,
    measure_layer,
    write_layer,
)
from fnkit.platform.control.images.layer_store import LayerStore

NAMES = st.text("abAB.-_é", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=200), max_size=12).filter(
    lambda files: not any(one != other and other.startswith(one + "/") for one in files for other in files)
)


def entries_of(files: dict[str, bytes]) -> list[LayerEntry]:
    return [
        LayerEntry(path=path, kind=EntryKind.FILE, mode=0o644, owner=1000, content=content)
        for path, content in files.items()
    ]


def written(entries: list[LayerEntry]) -> bytes:
    output = io.BytesIO()
    write_layer(entries, output)
    return output.getvalue()


def members(layer: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {member.name: member for member in archive}


@given(FILES, st.randoms())
def test_layer_depends_on_content_alone(files: dict[str, bytes], random: object) -> None:
    entries = entries_of(files)
    shuffled = entries.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # it is a random.Random
    assert written(entries) == written(shuffled)
    with tarfile.open(fileobj=io.BytesIO(written(entries))) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        assert {name: stream.read() for name, stream in found.items() if stream is not None} == files


@given(FILES)
def test_digests_are_those_of_the_bytes(files: dict[str, bytes]) -> None:
    output = io.BytesIO()
    layer = write_layer(entries_of(files), output)
    compressed = output.getvalue()
    assert layer.digest == hashlib.sha256(compressed).hexdigest()
    assert layer.size == len(compressed)
    assert layer.diff_id == hashlib.sha256(gzip.decompress(compressed)).hexdigest()
    assert measure_layer(entries_of(files)) == layer.diff_id


@given(FILES)
def test_directories_precede_their_content_once(files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(entries_of(files)))) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    for position, name in enumerate(names):
        parent = name.rpartition("/")[0]
        assert not parent or parent in names[:position]


def test_layer_of_a_directory_does_not_depend_on_place_times_and_modes(tmp_path: Path) -> None:
    made = []
    for number, name in enumerate(("one", "other")):
        directory = tmp_path / name
        for path in ("package/b.py", "a.py")[:: 1 if number else -1]:
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)
            os.utime(file, (number, number))
            file.chmod(0o600 if number else 0o666)
        (directory / "link").symlink_to("a.py")
        (directory / "run.sh").write_text("")
        (directory / "run.sh").chmod(0o700 if number else 0o755)
        os.mkfifo(directory / "pipe")
        made.append(written(list(directory_entries(directory, "home/app", 1000))))
    assert made[0] == made[1]
    found = members(made[0])
    assert set(found) == {"home", "home/app", *(f"home/app/{name}" for name in ("a.py", "link", "run.sh"))} | {
        f"home/app/package{name}" for name in ("", "/b.py")
    }
    assert found["home/app/link"].linkname == "a.py"
    assert (found["home/app/a.py"].mode, found["home/app/run.sh"].mode) == (0o644, 0o755)
    assert (found["home"].uid, found["home/app/a.py"].uid, found["home/app/a.py"].mtime) == (0, 1000, 0)


def test_store_keeps_nothing_of_a_failed_layer(tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "layers")
    missing = LayerEntry(path="a", kind=EntryKind.FILE, source=tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        store.add(partial(write_layer, [missing]))
    assert list((tmp_path / "layers").iterdir()) == []


def test_store_notices_a_truncated_layer(tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "layers")
    layer = store.add(partial(write_layer, entries_of({"a": b"content"})))
    assert store.has(layer)
    os.truncate(tmp_path / "layers" / layer.digest, layer.size - 1)
    assert not store.has(layer)


@pytest.mark.parametrize("digest", ["", "../platform.db", "a" * 63, "A" * 64, "a" * 64])
def test_store_opens_nothing_but_layers(tmp_path: Path, digest: str) -> None:
    (tmp_path / "platform.db").touch()
    with pytest.raises(FileNotFoundError):
        LayerStore(tmp_path / "layers").open(digest)
