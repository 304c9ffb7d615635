"""``kill -9`` of control between requests: accepted changes survive and unfinished work is resumed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.program import local_program
from tests.support.control_process import API, PROJECT, ControlProcess, control_settings, zip_archive
from tests.support.fake_data_plane import connected_data_plane

Step = Callable[[ControlProcess, dict[str, str]], None]


def create_namespace(control: ControlProcess, ids: dict[str, str]) -> None:
    body = {
        "name": "shop",
        "project_id": PROJECT,
        "secret_environment_variables": [{"key": "S", "value": "s"}],
    }
    ids["namespaces"] = str(control.request("POST", f"{API}/namespaces", body).ok()["id"])


def create_function(control: ControlProcess, ids: dict[str, str]) -> None:
    ids["functions"] = str(control.create_function(ids["namespaces"])["id"])


def upload(control: ControlProcess, ids: dict[str, str]) -> None:
    control.upload(ids["functions"], zip_archive())


def deploy(control: ControlProcess, ids: dict[str, str]) -> None:
    control.request("POST", f"{API}/functions/{ids['functions']}/deploy", {}).ok()


def create_cron(control: ControlProcess, ids: dict[str, str]) -> None:
    body = {"function_id": ids["functions"], "schedule": "0 0 1 1 *", "args": {"a": 1}}
    ids["crons"] = str(control.request("POST", f"{API}/crons", body).ok()["id"])


def create_domain(control: ControlProcess, ids: dict[str, str]) -> None:
    body = {"function_id": ids["functions"], "hostname": "shop.example.com"}
    ids["domains"] = str(control.request("POST", f"{API}/domains", body).ok()["id"])


def create_trigger(control: ControlProcess, ids: dict[str, str]) -> None:
    body = {"function_id": ids["functions"], "name": "jobs", "scw_sqs_config": {"queue": "jobs"}}
    ids["triggers"] = str(control.request("POST", f"{API}/triggers", body).ok()["id"])


def update_function(control: ControlProcess, ids: dict[str, str]) -> None:
    control.request("PATCH", f"{API}/functions/{ids['functions']}", {"max_scale": 7}).ok()


def update_namespace(control: ControlProcess, ids: dict[str, str]) -> None:
    body = {"environment_variables": {"A": "1"}}
    control.request("PATCH", f"{API}/namespaces/{ids['namespaces']}", body).ok()


STEPS: tuple[Step, ...] = (
    *(create_namespace, create_function, upload, deploy, create_cron, create_domain, create_trigger),
    *(update_function, update_namespace),
)


@pytest.mark.long
def test_accepted_requests_survive_a_kill_after_every_step(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    ids: dict[str, str] = {}
    control.start()
    try:
        for step in STEPS:
            step(control, ids)
            control.kill()
            control.start()
            for kind, record_id in ids.items():
                assert control.get(kind, record_id)["id"] == record_id, f"{kind} after {step.__name__}"
        with connected_data_plane(control.settings.control_socket) as peer:
            function = control.wait_until_settled("functions", ids["functions"])
            assert (function["status"], function["max_scale"]) == ("ready", 7)
            assert peer.upserts[-1].route.environment == {"A": "1", "S": "s"}
            assert control.wait_until_settled("namespaces", ids["namespaces"])["status"] == "ready"
            for kind in ("crons", "domains", "triggers"):
                assert control.wait_until_settled(kind, ids[kind])["status"] == "ready"
            assert "shop.example.com" in peer.upserts[-1].route.hosts
        control.request("DELETE", f"{API}/namespaces/{ids['namespaces']}").ok()
        control.kill()
        control.start()
        for kind, record_id in ids.items():
            control.wait_until_deleted(kind, record_id)
        assert control.stop() == 0
    finally:
        control.kill()
    assert list(Path(tmp_path, "blobs").iterdir()) == []


@pytest.mark.long
def test_function_with_missing_code_is_rebuilt_after_restart(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    control.start()
    try:
        function = control.create_function(control.create_namespace()["id"])
        with connected_data_plane(control.settings.control_socket) as peer:
            control.deploy(function["id"], zip_archive())
            code = Path(local_program(peer.upserts[0].route).code_dir)
        control.kill()
        code.rename(code.with_name("moved"))
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert control.wait_until_settled("functions", function["id"])["status"] == "ready"
            assert Path(local_program(peer.upserts[0].route).code_dir, "handler.py").is_file()
    finally:
        control.kill()


def test_data_directory_contains_no_plaintext_secrets(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    control.start()
    try:
        secrets = [{"key": "S", "value": "correct horse battery"}]
        namespace = control.create_namespace("secrets", secret_environment_variables=secrets)
        control.create_function(namespace["id"], secret_environment_variables=secrets)
        assert control.stop() == 0
    finally:
        control.kill()

    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        content = file.read_bytes()
        assert b"correct horse" not in content, file
        assert control.settings.secret_key.encode() not in content, file
    assert Path(tmp_path, "keys", "platform.key").stat().st_mode & 0o777 == 0o600
    assert Path(tmp_path, "platform.db").stat().st_mode & 0o777 == 0o600


def test_store_of_a_newer_version_is_rejected(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "platform.db") as store:
        store.execute("PRAGMA user_version=999")
    store.close()
    control = ControlProcess(control_settings(tmp_path))
    with pytest.raises(AssertionError, match="written by a newer fnkit"):
        control.start()
    assert control.process is not None
    assert control.process.wait() == 1


def test_port_in_use_exits_without_a_traceback(tmp_path: Path) -> None:
    first = ControlProcess(control_settings(tmp_path))
    first.start()
    try:
        second_directory = tmp_path / "second"
        second_directory.mkdir()
        second = ControlProcess(control_settings(second_directory, api_port=first.settings.api_port))
        second.start()  # returns at once: the first process responds on that port
        assert second.process is not None
        assert second.process.wait(60) == 1
        assert "Traceback" not in second.log
        assert "control: " in second.log
    finally:
        first.kill()
