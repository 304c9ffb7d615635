"""``kill -9`` between any two requests: what was accepted is there, what was in flight is taken up again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.control_process import API, PROJECT, ControlProcess, control_settings, zip_archive
from tests.support.fake_data_plane import connected_data_plane

Step = Callable[[ControlProcess, dict[str, str]], None]


def make_namespace(control: ControlProcess, made: dict[str, str]) -> None:
    body = {
        "name": "shop",
        "project_id": PROJECT,
        "secret_environment_variables": [{"key": "S", "value": "s"}],
    }
    made["namespaces"] = str(control.request("POST", f"{API}/namespaces", body).ok()["id"])


def make_function(control: ControlProcess, made: dict[str, str]) -> None:
    made["functions"] = str(control.create_function(made["namespaces"])["id"])


def upload(control: ControlProcess, made: dict[str, str]) -> None:
    control.upload(made["functions"], zip_archive())


def deploy(control: ControlProcess, made: dict[str, str]) -> None:
    control.request("POST", f"{API}/functions/{made['functions']}/deploy", {}).ok()


def make_cron(control: ControlProcess, made: dict[str, str]) -> None:
    body = {"function_id": made["functions"], "schedule": "0 0 1 1 *", "args": {"a": 1}}
    made["crons"] = str(control.request("POST", f"{API}/crons", body).ok()["id"])


def make_domain(control: ControlProcess, made: dict[str, str]) -> None:
    body = {"function_id": made["functions"], "hostname": "shop.example.com"}
    made["domains"] = str(control.request("POST", f"{API}/domains", body).ok()["id"])


def make_trigger(control: ControlProcess, made: dict[str, str]) -> None:
    body = {"function_id": made["functions"], "name": "jobs", "scw_sqs_config": {"queue": "jobs"}}
    made["triggers"] = str(control.request("POST", f"{API}/triggers", body).ok()["id"])


def change(control: ControlProcess, made: dict[str, str]) -> None:
    control.request("PATCH", f"{API}/functions/{made['functions']}", {"max_scale": 7}).ok()


def change_namespace(control: ControlProcess, made: dict[str, str]) -> None:
    body = {"environment_variables": {"A": "1"}}
    control.request("PATCH", f"{API}/namespaces/{made['namespaces']}", body).ok()


STEPS: tuple[Step, ...] = (
    *(make_namespace, make_function, upload, deploy, make_cron, make_domain, make_trigger),
    *(change, change_namespace),
)


@pytest.mark.slow
def test_nothing_accepted_is_lost_however_often_control_is_killed(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    made: dict[str, str] = {}
    control.start()
    try:
        for step in STEPS:
            step(control, made)
            control.kill()
            control.start()
            for kind, one in made.items():
                assert control.get(kind, one)["id"] == one, f"{kind} after {step.__name__}"
        with connected_data_plane(control.settings.control_socket) as peer:
            function = control.wait_until_settled("functions", made["functions"])
            assert (function["status"], function["max_scale"]) == ("ready", 7)
            assert peer.upserts[-1].route.environment == {"A": "1", "S": "s"}
            assert control.wait_until_settled("namespaces", made["namespaces"])["status"] == "ready"
            for kind in ("crons", "domains", "triggers"):
                assert control.wait_until_settled(kind, made[kind])["status"] == "ready"
            assert "shop.example.com" in peer.upserts[-1].route.hosts
        control.request("DELETE", f"{API}/namespaces/{made['namespaces']}").ok()
        control.kill()
        control.start()
        for kind, one in made.items():
            control.wait_until_deleted(kind, one)
        assert control.stop() == 0
    finally:
        control.kill()
    assert list(Path(tmp_path, "blobs").iterdir()) == []


def test_a_serving_function_whose_code_vanished_is_built_again(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    control.start()
    try:
        function = control.create_function(control.create_namespace()["id"])
        with connected_data_plane(control.settings.control_socket) as peer:
            control.deploy(function["id"], zip_archive())
            code = Path(peer.upserts[0].route.code_dir)
        control.kill()
        code.rename(code.with_name("elsewhere"))
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert control.wait_until_settled("functions", function["id"])["status"] == "ready"
            assert Path(peer.upserts[0].route.code_dir, "handler.py").is_file()
    finally:
        control.kill()


def test_neither_a_secret_nor_the_key_lies_in_the_store_or_the_log(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    control.start()
    try:
        secrets = [{"key": "S", "value": "correct horse battery"}]
        namespace = control.create_namespace("quiet", secret_environment_variables=secrets)
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


def test_a_store_of_a_newer_fnkit_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "platform.db") as store:
        store.execute("PRAGMA user_version=999")
    store.close()
    control = ControlProcess(control_settings(tmp_path))
    with pytest.raises(AssertionError, match="written by a newer fnkit"):
        control.start()
    assert control.process is not None
    assert control.process.wait() == 1


def test_a_port_in_use_ends_the_process_with_one_line(tmp_path: Path) -> None:
    first = ControlProcess(control_settings(tmp_path))
    first.start()
    try:
        second_home = tmp_path / "second"
        second_home.mkdir()
        second = ControlProcess(control_settings(second_home, api_port=first.settings.api_port))
        second.start()  # the first one answers on that port
        assert second.process is not None
        assert second.process.wait(60) == 1
        assert "Traceback" not in second.log
        assert "control: " in second.log
    finally:
        first.kill()
