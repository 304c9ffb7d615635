"""Messages that a handler writes cannot forge lines of the log or control a terminal that shows an error."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.model.routing import InstanceExited
from tests.support.control_process import API, PROJECT, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.waiting import wait_until

FORGED = "2026-11-29 00:00:00,000 INFO forged: everything is fine"
HOSTILE = f"\x1b]0;owned\x07\n{FORGED}"


def test_errors_of_handlers_are_escaped_in_the_api_and_in_the_log(tmp_path: Path) -> None:
    with (
        running_control(tmp_path) as control,
        connected_data_plane(control.settings.control_socket, start_error=lambda _route: HOSTILE) as plane,
    ):
        function = control.create_function(control.create_namespace()["id"])
        failed = control.deploy(function["id"], zip_archive())
        plane.send(InstanceExited(function_id=str(function["id"]), generation=1, reason=HOSTILE))
        wait_until(lambda: "exited:" in control.log)
        rejected = control.request("POST", f"{API}/namespaces", {"name": "a\x1b\n", "project_id": PROJECT})
        log = control.log

    assert str(failed["error_message"]) == f"\\x1b]0;owned\\x07\\n{FORGED}"
    assert "\x1b" not in log
    assert FORGED not in log.splitlines()
    assert str(rejected.document["message"]).isprintable()
