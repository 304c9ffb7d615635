"""What an instance writes to its dependencies does not reach the next deployment, which has the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.control_process import api_client, zip_archive
from tests.support.platform import call_function, running_platform

HANDLER = """
import os, pathlib, dep
def handle(event, context):
    file = pathlib.Path(dep.__file__)
    before = file.read_text()
    try:
        file.write_text("WORD = 'overwritten'")
        os.chmod(file, 0o600)
    except OSError:
        pass
    return [dep.WORD, before]
"""


@pytest.mark.long
def test_instance_cannot_change_dependencies_of_later_deployments(tmp_path: Path) -> None:
    package = {"package/dep.py": "WORD = 'original'"}
    with running_platform(tmp_path / "home", "--tls-port", "none", "--nats-port", "none") as platform:
        api = api_client(platform)
        function = api.create_function(api.create_namespace()["id"], handler="handler.handle")
        inodes = []
        for number in range(3):
            archive = zip_archive({"handler.py": f"{HANDLER}# {number}\n", **package})
            assert api.deploy(function["id"], archive)["status"] == "ready"
            answer = call_function(platform, str(function["domain_name"]))
            assert answer.json() == ["original", "WORD = 'original'"]
            (file,) = (platform.home / "deployments").glob(f"{function['id']}-{number + 1}/package/dep.py")
            assert file.read_text() == "WORD = 'original'"
            inodes.append(file.stat().st_ino)
        assert len(set(inodes)) == 1
        api.request("DELETE", f"/functions/v1beta1/regions/fr-par/functions/{function['id']}").ok()
        api.wait_until_deleted("functions", function["id"])
