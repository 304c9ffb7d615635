"""A full disk: writes are rejected with an error, leave no partial data, and succeed again once there is space."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.control_process import API, PROJECT, running_control

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


def test_full_disk_leaves_no_partial_writes_and_recovers(small_disk: Path) -> None:
    with running_control(small_disk) as control:
        namespace = control.create_namespace()
        function = control.create_function(namespace["id"])
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(64 * 1024))
            except OSError:
                pass

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
