"""Backups are complete, private and consistent. A restore is checked before it replaces anything, and whole."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.opening import open_store
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.backup import complete_restore, create_backup, restore_backup
from fnkit.platform.supervisor.backup_file import BackupManifest
from tests.support.stored_records import function_record, insert_functions, namespace_record

Members = list[tuple[tarfile.TarInfo, bytes]]


def add_functions(layout: DataLayout, *names: str) -> None:
    """Add functions whose archive contains their name; one namespace has a secret."""
    store, vault = open_store(layout)
    with store.transaction():
        if store.namespaces.get("n1") is None:
            store.namespaces.insert(namespace_record("n1"))
            store.key_values.put("secret", vault.encrypt("n1", "K", "value").hex())
        insert_functions(store, BlobStore(layout.blobs_dir), *names)
    store.close()


def state(layout: DataLayout) -> tuple[set[str], str, dict[str, bytes]]:
    """Return the names of the functions, the decrypted secret, and the other files that a backup contains."""
    store, vault = open_store(layout)
    names = {record.name for record in store.functions.all()}
    secret = vault.decrypt("n1", "K", bytes.fromhex(store.key_values.get("secret", str) or ""))
    store.close()
    single = [*layout.data_dir.glob("*.json"), *layout.data_dir.glob("*.toml"), *layout.blobs_dir.iterdir()]
    return names, secret, {one.name: one.read_bytes() for one in single}


def names_in(directory: Path) -> set[str]:
    return {one.name for one in directory.iterdir()}


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    """A data directory with the functions a and b."""
    home = tmp_path / "home"
    home.mkdir()
    add_functions(DataLayout(home), "a", "b")
    (home / "platform.json").write_text("{}")
    (home / "brokers.toml").write_text("")
    return DataLayout(home)


@pytest.fixture
def backup(layout: DataLayout, tmp_path: Path) -> Path:
    """A backup of the directory."""
    create_backup(layout, tmp_path / "backup.tar")
    return tmp_path / "backup.tar"


@pytest.fixture
def other(tmp_path: Path) -> DataLayout:
    """A data directory of another platform, with other files and with built code."""
    home = tmp_path / "other"
    (home / "deployments" / "c-1").mkdir(parents=True)
    add_functions(DataLayout(home), "c")
    (home / "api-keys.json").write_text("[]")
    return DataLayout(home)


def test_restored_directory_equals_the_backed_up_one(layout: DataLayout, backup: Path, other: DataLayout) -> None:
    before = state(layout)

    manifest = restore_backup(other, backup)

    assert state(other) == before
    assert before[:2] == ({"a", "b"}, "value")
    assert (manifest.functions, manifest.archives, manifest.missing) == (2, 2, ())
    assert names_in(other.data_dir) == names_in(layout.data_dir) | {"tls"}


def test_backup_is_private_and_replaces_an_older_one_only_when_complete(layout: DataLayout, backup: Path) -> None:
    content = backup.read_bytes()
    backup.chmod(0o644)
    layout.key_file.write_bytes(b"damaged")

    with pytest.raises(PlatformError):
        create_backup(layout, backup)
    assert backup.read_bytes() == content
    assert list(backup.parent.glob(".*")) == []

    shutil.rmtree(layout.data_dir)
    layout.data_dir.mkdir()
    restore_backup(layout, backup)
    create_backup(layout, backup)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_backup_contains_what_is_committed_but_not_checkpointed(layout: DataLayout, tmp_path: Path) -> None:
    store, _ = open_store(layout)
    with store.transaction():
        store.functions.insert(function_record("new", namespace_id="n1", name="new"))
    writer = sqlite3.connect(layout.database)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM functions WHERE name = 'a'")  # not committed

    create_backup(layout, tmp_path / "b.tar")
    writer.close()
    store.close()
    target = DataLayout(tmp_path / "target")
    target.data_dir.mkdir()
    restore_backup(target, tmp_path / "b.tar")

    assert state(target)[0] == {"a", "b", "new"}


def test_lost_and_damaged_archives_are_left_out_and_named(layout: DataLayout, tmp_path: Path) -> None:
    lost, damaged = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b"))
    add_functions(layout, "c")
    (layout.blobs_dir / lost).unlink()
    (layout.blobs_dir / damaged).write_bytes(b"x")

    manifest = create_backup(layout, tmp_path / "b.tar")

    assert manifest.missing == tuple(sorted((lost, damaged)))
    assert manifest.archives == 1


def test_directory_without_a_platform_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="There is no platform"):
        create_backup(DataLayout(tmp_path), tmp_path / "b.tar")


def rewrite(backup: Path, change: Callable[[Members], Members]) -> None:
    """Write the members of a backup again, changed."""
    with tarfile.open(backup) as source:
        members = [(one, (extracted.read() if (extracted := source.extractfile(one)) else b"")) for one in source]
    with tarfile.open(backup, "w") as target:
        for member, content in change(members):
            target.addfile(member, io.BytesIO(content))


def member(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    one = tarfile.TarInfo(name)
    one.size, one.type, one.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, link
    return one, content


def with_listed(name: str, content: bytes = b"x") -> Callable[[Members], Members]:
    """Return a change that adds a member and lists it in the manifest."""

    def change(members: Members) -> Members:
        document = msgspec.json.decode(members[0][1])
        digest = hashlib.sha256(content).hexdigest()
        document["files"].append({"name": name, "size": len(content), "sha256": digest})
        return [member("manifest.json", msgspec.json.encode(document)), *members[1:], member(name, content)]

    return change


def with_manifest(**changes: object) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        manifest = msgspec.structs.replace(msgspec.json.decode(members[0][1], type=BackupManifest), **changes)
        return [member("manifest.json", msgspec.json.encode(manifest)), *members[1:]]

    return change


def damage_member(name: str) -> Callable[[Members], Members]:
    return lambda members: [
        (one, content[:-1] + bytes([content[-1] ^ 1]) if one.name == name else content) for one, content in members
    ]


HOSTILE: dict[str, Callable[[Members], Members]] = {
    "path outside": with_listed("../outside"),
    "absolute path": with_listed("/tmp/outside"),
    "other file": with_listed("run.json"),
    "path below blobs": with_listed("blobs/../../outside"),
    "archive of another name": with_listed("blobs/" + "0" * 64),
    "unlisted file": lambda members: [*members, member("api-keys.json")],
    "file twice": lambda members: [*members, members[1]],
    "symbolic link": lambda members: [members[0], member("platform.json", b"", tarfile.SYMTYPE, "/etc/passwd")],
    "hard link": lambda members: [members[0], member("platform.json", b"", tarfile.LNKTYPE, "/etc/passwd")],
    "fifo": lambda members: [members[0], member("platform.json", b"", tarfile.FIFOTYPE)],
    "device": lambda members: [members[0], member("platform.json", b"", tarfile.CHRTYPE)],
    "directory": lambda members: [members[0], member("platform.json", b"", tarfile.DIRTYPE)],
    "missing member": lambda members: members[:-1],
    "no manifest": lambda members: members[1:],
    "no files": with_manifest(files=()),
    "other format": with_manifest(format="other"),
    "damaged database": damage_member("platform.db"),
    "damaged key": damage_member("keys/platform.key"),
    "nothing": lambda _members: [],
}


def contents(directory: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_backup_is_refused_and_nothing_changes(
    backup: Path, other: DataLayout, change: Callable[[Members], Members]
) -> None:
    rewrite(backup, change)
    before = contents(backup.parent)

    with pytest.raises(PlatformError) as caught:
        restore_backup(other, backup)

    assert caught.value.code in {"backup-invalid", "backup-newer"}
    assert contents(backup.parent) == before
    assert not list(other.data_dir.glob(".*"))


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024, 5000, -20000])
def test_truncated_backup_is_refused(backup: Path, other: DataLayout, size: int) -> None:
    with backup.open("r+b") as file:
        file.truncate(size if size >= 0 else backup.stat().st_size + size)
    before = contents(other.data_dir)

    with pytest.raises(PlatformError):
        restore_backup(other, backup)
    assert contents(other.data_dir) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"text\n" * 1000, b"\x1f\x8b" + bytes(1000), bytes(range(256)) * 80],
    ids=["empty", "text", "gzip", "bytes"],
)
def test_foreign_file_is_refused(other: DataLayout, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(PlatformError, match="not a backup of fnkit"):
        restore_backup(other, tmp_path / "f")


def test_sparse_member_is_refused(backup: Path, other: DataLayout) -> None:
    """A few bytes that would become a file of any size."""
    with tarfile.open(backup, "w", format=tarfile.PAX_FORMAT) as target:
        digest = "0" * 64
        files = [{"name": "platform.db", "size": 2**40, "sha256": digest}]
        manifest = {"created_at": "", "functions": 0, "files": files, "format": "fnkit-backup", "version": 1}
        first, content = member("manifest.json", msgspec.json.encode(manifest))
        target.addfile(first, io.BytesIO(content))
        sparse = tarfile.TarInfo("platform.db")
        sparse.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**40)}
        target.addfile(sparse)

    with pytest.raises(PlatformError, match="cannot be restored"):
        restore_backup(other, backup)


def test_backup_with_the_key_of_another_platform_is_refused(backup: Path, other: DataLayout) -> None:
    key = bytes(32)

    def change(members: Members) -> Members:
        document = msgspec.json.decode(members[0][1])
        for one in document["files"]:
            if one["name"] == "keys/platform.key":
                one["sha256"] = hashlib.sha256(key).hexdigest()
        kept = [(one, key if one.name == "keys/platform.key" else content) for one, content in members[1:]]
        return [member("manifest.json", msgspec.json.encode(document)), *kept]

    rewrite(backup, change)
    with pytest.raises(PlatformError, match="is not the key"):
        restore_backup(other, backup)


KILLED_AFTER = """
import os, sys
from pathlib import Path
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.backup import restore_backup

remaining = int(sys.argv[3])
def count(event, arguments):
    global remaining
    if event in {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open"} and str(arguments[0]).startswith("/"):
        remaining -= 1
        if remaining < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(count)
restore_backup(DataLayout(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.long
def test_kill_at_any_step_leaves_the_old_state_or_the_new_one(
    backup: Path, layout: DataLayout, other: DataLayout, tmp_path: Path
) -> None:
    old, new = state(other), state(layout)
    seen = set()
    for step in range(1000):
        home = DataLayout(tmp_path / f"home-{step}")
        shutil.copytree(other.data_dir, home.data_dir)
        arguments = (str(home.data_dir), str(backup), str(step))
        done = subprocess.run([sys.executable, "-c", KILLED_AFTER, *arguments], check=False)
        complete_restore(home)
        found = state(home)
        assert found in (old, new)
        seen.add(found == new)
        shutil.rmtree(home.data_dir)
        if done.returncode == 0:
            break

    assert seen == {True, False}
    assert step > 30


@pytest.mark.parametrize("moved", [(), ("platform.json",), ("platform.json", "keys", "tls", "blobs")])
def test_decided_restore_is_completed(
    backup: Path, layout: DataLayout, other: DataLayout, moved: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process was killed after it had moved some of the files."""

    class Killed(BaseException):
        pass

    rename = Path.rename
    new, wal = state(layout), other.data_dir / "platform.db-wal"

    def stop(source: Path, target: Path) -> Path:
        if source.parent == other.restore_dir and source.name not in moved:
            raise Killed
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(Killed):
        restore_backup(other, backup)
    monkeypatch.undo()
    wal.touch()

    complete_restore(other)

    assert state(other) == new
    assert not other.restore_dir.exists()
