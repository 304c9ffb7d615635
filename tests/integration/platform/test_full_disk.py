"""A data folder on a disk that fills up: refused in words, nothing half-written, and well again afterwards."""

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
    sys.platform != "linux" or os.geteuid() != 0, reason="a small disk is mounted, which needs root on Linux"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this root may not mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_told_and_leaves_everything_as_it_was(small_disk: Path) -> None:
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
        asked = control.request("GET", f"{API}/functions/{function['id']}/upload-url", query=query).ok()
        url = urlsplit(str(asked["url"]))
        upload = control.request("PUT", f"{url.path}?{url.query}", os.urandom(3_000_000))
        large = {"project_id": PROJECT, "tags": ["x" * 4000] * 50}
        refused = [control.request("POST", f"{API}/namespaces", {"name": f"n{n}", **large}) for n in range(40)]
        told = {answer.status for answer in refused}
        filler.unlink()

        assert (upload.status, set(upload.document)) == (507, {"message"})
        assert told <= {200, 507}
        assert 507 in told
        for number, answer in enumerate(refused):
            found = control.request("GET", f"{API}/namespaces", query={"name": f"n{number}"}).ok()
            assert found["total_count"] == (1 if answer.status == 200 else 0)
        assert control.request("GET", f"{API}/functions/{function['id']}/download-url").status == 404
        assert not list(Path(small_disk, "blobs").iterdir())
        assert control.create_namespace("after")["status"] == "ready"
