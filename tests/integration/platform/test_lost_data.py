"""Lost and damaged data: what one function needs stops that function alone, what all need is refused at start."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.control.store.database import Store
from fnkit.platform.directory_tree import remove_tree
from tests.support.command import Command
from tests.support.control_process import API, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.waiting import wait_until

SECRET = [{"key": "TOKEN", "value": "s"}]


def function_status(control: ControlProcess, function_id: object) -> tuple[object, object]:
    found = control.get("functions", function_id)
    return found["status"], found["error_message"]


@pytest.mark.long
def test_unreadable_secret_stops_its_function_alone_until_it_is_set_again(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        with connected_data_plane(control.settings.control_socket):
            namespace = control.create_namespace()["id"]
            ids = [
                control.create_function(namespace, name, secret_environment_variables=SECRET)["id"]
                for name in ("damaged", "other")
            ]
            for one in ids:
                control.deploy(one, zip_archive({"handler.py": f"# {one}\n"}))
        control.stop()
        store = Store(tmp_path / "platform.db")
        record = store.functions.get(str(ids[0]))
        assert record is not None
        assert record.serving is not None
        secrets = (msgspec.structs.replace(record.settings.secrets[0], ciphertext=b"x" * 40),)
        settings = msgspec.structs.replace(record.settings, secrets=secrets)
        serving = msgspec.structs.replace(record.serving, settings=settings)
        with store.transaction():
            store.functions.update(msgspec.structs.replace(record, settings=settings, serving=serving))
        store.close()

        control.start()
        with connected_data_plane(control.settings.control_socket) as plane:
            wait_until(lambda: function_status(control, ids[0])[0] == "error")
            (_, message), other = function_status(control, ids[0]), function_status(control, ids[1])
            served = {route.function_id for route in plane.snapshot.routes}
            change = {"secret_environment_variables": SECRET}
            control.request("PATCH", f"{API}/functions/{ids[0]}", change).ok()
            repaired = control.wait_until_settled("functions", ids[0])

    assert "The secret TOKEN of" in str(message)
    assert other == ("ready", None)
    assert served == {ids[1]}
    assert repaired["status"] == "ready"


@pytest.mark.long
def test_lost_and_damaged_archives_fail_the_next_build_of_their_functions(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        with connected_data_plane(control.settings.control_socket):
            namespace = control.create_namespace()["id"]
            ids = [control.create_function(namespace, name)["id"] for name in ("lost", "damaged", "whole")]
            for one in ids:
                control.deploy(one, zip_archive({"handler.py": f"# {one}\n"}))
        control.stop()
        with sqlite3.connect(tmp_path / "platform.db") as connection:
            lost, damaged, _ = (row[0] for row in connection.execute("SELECT archive FROM functions ORDER BY seq"))
        (tmp_path / "blobs" / lost).unlink()
        (tmp_path / "blobs" / damaged).write_bytes(b"PK")
        (tmp_path / "blobs" / "folder").mkdir()
        remove_tree(tmp_path / "deployments")

        control.start()
        with connected_data_plane(control.settings.control_socket):
            for one in ids:
                control.wait_until_settled("functions", one)
            statuses = [function_status(control, one) for one in ids]

    assert [(status, str(message).split(" is ")[-1]) for status, message in statuses] == [
        ("error", "missing."),
        ("error", "damaged."),
        ("ready", "None"),
    ]


@pytest.mark.long
def test_start_names_the_lost_database_and_reset_begins_anew(tmp_path: Path) -> None:
    fnkit = Command({"FNKIT_HOME": str(tmp_path)})
    start = ("platform", "start", "--detach", "--json", "--api-port", "0", "--gateway-port", "0")
    fnkit(*start).ok()
    fnkit("platform", "stop").ok()
    (tmp_path / "platform.db").unlink()

    refused = fnkit(*start)
    fnkit("platform", "reset", "--yes").ok()
    started = fnkit(*start)
    fnkit("platform", "stop").ok()

    assert (refused.code, refused.json()["error"]["code"]) == (1, "store-missing")
    assert "fnkit platform restore" in refused.json()["error"]["hint"]
    assert started.code == 0


@pytest.mark.long
def test_lost_key_of_tokens_is_reported_and_replaced(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        with connected_data_plane(control.settings.control_socket):
            function = control.create_function(control.create_namespace()["id"])["id"]
            token = control.request("POST", f"{API}/tokens", {"function_id": function}).ok()["id"]
            control.wait_until_settled("tokens", token)
        control.stop()
        (tmp_path / "keys" / "tokens.pem").unlink()
        control.start()
        assert "tokens.pem is missing: existing tokens are invalid" in control.log
        assert control.request("POST", f"{API}/tokens", {"function_id": function}).status == 200
