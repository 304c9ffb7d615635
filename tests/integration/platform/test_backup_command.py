"""``fnkit platform backup`` and ``restore`` with a running platform."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.control_process import API, api_client, zip_archive
from tests.support.platform import call_function, running_platform


@pytest.mark.long
def test_backup_of_a_busy_platform_is_restored_in_another_directory(tmp_path: Path) -> None:
    """Every backup that is taken while functions are replaced contains the archives of its functions."""
    file, stop = tmp_path / "backup.tar", threading.Event()
    with running_platform(tmp_path / "first") as platform:
        control = api_client(platform)
        namespace = control.create_namespace()["id"]
        secret = [{"key": "S", "value": "secret"}]
        handler = "import os\ndef handle(event, context):\n    return os.environ['S']\n"
        function = control.create_function(namespace, secret_environment_variables=secret)["id"]
        domain = str(control.deploy(function, zip_archive({"handler.py": handler}))["domain_name"])
        busy = control.create_function(namespace, "busy")["id"]

        def replace_code() -> None:
            number = 0
            while not stop.is_set():
                control.upload(busy, zip_archive({"handler.py": f"# {number}\n"}))
                number += 1

        thread = threading.Thread(target=replace_code)
        thread.start()
        try:
            backups = [platform.command("platform", "backup", str(file), "--json").ok().json() for _ in range(5)]
        finally:
            stop.set()
            thread.join()
        assert [(one["functions"], one["missing"]) for one in backups] == [(2, [])] * 5
        refused = platform.command("platform", "restore", str(file), "--json")  # not: confirmation-needed
        assert refused.json()["error"]["code"] == "platform-running"
        credentials = platform.secret_key

    other = Command({"FNKIT_HOME": str(tmp_path / "second")})
    restored = other("platform", "restore", str(file), "--json").ok().json()
    again = other("platform", "restore", str(file), "--json")
    assert (restored["functions"], restored["archives"]) == (2, backups[-1]["archives"])
    assert again.json()["error"]["code"] == "confirmation-needed"
    with running_platform(tmp_path / "second") as platform:
        control = api_client(platform)
        assert control.wait_until_settled("functions", function)["status"] == "ready"
        assert call_function(platform, domain).body == b"secret"
        assert control.request("GET", f"{API}/functions").ok()["total_count"] == 2
        assert platform.secret_key == credentials
