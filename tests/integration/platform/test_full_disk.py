"""A full disk: writes are rejected with an error, leave no partial data, and succeed again once there is space."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fnkit.contract.enums import Status
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.records import transition
from tests.support.control_process import API, PROJECT, running_control
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small file system needs root on Linux"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this root user may not mount file systems")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Use all space with one file, and return it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
    return filler


def test_full_disk_leaves_no_partial_writes_and_recovers(small_disk: Path) -> None:
    with running_control(small_disk) as control:
        namespace = control.create_namespace()
        function = control.create_function(namespace["id"])
        filler = fill(small_disk)
        query = {"content_length": 3_000_000}
        signed = control.request("GET", f"{API}/functions/{function['id']}/upload-url", query=query).ok()
        url = urlsplit(str(signed["url"]))
        upload = control.request("PUT", f"{url.path}?{url.query}", os.urandom(3_000_000))
        large = {"project_id": PROJECT, "tags": ["x" * 4000] * 50}
        responses = [control.request("POST", f"{API}/namespaces", {"name": f"n{n}", **large}) for n in range(40)]
        statuses = {response.status for response in responses}
        filler.unlink()

        assert (upload.status, set(upload.document)) == (507, {"message"})
        assert statuses <= {200, 507}
        assert 507 in statuses
        for number, response in enumerate(responses):
            found = control.request("GET", f"{API}/namespaces", query={"name": f"n{number}"}).ok()
            assert found["total_count"] == (1 if response.status == 200 else 0)
        assert control.request("GET", f"{API}/functions/{function['id']}/download-url").status == 404
        assert not list(Path(small_disk, "blobs").iterdir())
        assert control.create_namespace("after")["status"] == "ready"


@pytest.mark.long
def test_control_killed_on_a_full_disk_is_readable_and_resumes_when_there_is_space(
    small_disk: Path,
) -> None:
    with running_control(small_disk) as control:
        kept, deleted = (control.create_namespace(name)["id"] for name in ("kept", "deleted"))
        store = Store(small_disk / "platform.db")  # as if the kill came right after the request to delete it
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # its file has no space to use again
        record = store.namespaces.get(str(deleted))
        assert record is not None
        with store.transaction():
            store.namespaces.update(transition(record, Status.DELETING))
        control.kill()
        filler = fill(small_disk)

        control.start()
        assert control.get("namespaces", kept)["name"] == "kept"
        assert control.get("namespaces", deleted)["status"] == "deleting"
        refused = control.request("POST", f"{API}/namespaces", {"name": "new", "project_id": PROJECT})
        filler.unlink()
        control.wait_until_deleted("namespaces", deleted)
        wait_until(
            lambda: control.request("POST", f"{API}/namespaces", {"name": "n", "project_id": PROJECT}).status == 200
        )
        store.close()

    assert refused.status == 507
