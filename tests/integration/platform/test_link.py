"""Control's side of the socket to the data plane."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.model.routing import ClockChanged, RemoveFunction
from tests.support.control_process import API, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.waiting import wait_until


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[ControlProcess]:
    """A control process without a data plane."""
    with running_control(tmp_path) as process:
        yield process


def test_a_deployment_waits_for_a_data_plane_and_is_ready_once_it_started(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    alone.upload(function["id"], zip_archive())
    alone.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    folder = Path(alone.settings.data_dir, "deployments", f"{function['id']}-1")
    wait_until(folder.exists)
    assert alone.get("functions", function["id"])["status"] == "pending"
    assert alone.request("GET", "/healthz").status == 503

    with connected_data_plane(alone.settings.control_socket, hold_deployments=True) as peer:
        upsert = wait_until(lambda: peer.upserts)[0]
        assert peer.snapshot.routes == ()
        assert alone.get("functions", function["id"])["status"] == "pending"
        peer.respond(upsert)
        assert alone.wait_until_settled("functions", function["id"])["status"] == "ready"
        assert alone.request("GET", "/healthz").status == 200

    wait_until(lambda: alone.request("GET", "/healthz").status == 503)


def test_a_route_carries_everything_that_runs_a_function(alone: ControlProcess) -> None:
    namespace = alone.create_namespace(
        "routes",
        environment_variables={"A": "ns", "B": "ns"},
        secret_environment_variables=[{"key": "C", "value": "ns"}],
    )
    function = alone.create_function(
        namespace["id"],
        environment_variables={"B": "fn"},
        secret_environment_variables=[{"key": "C", "value": "fn"}, {"key": "D", "value": "fn"}],
        privacy="private",
        min_scale=1,
        max_scale=3,
        memory_limit=512,
        timeout="30s",
    )
    with connected_data_plane(alone.settings.control_socket) as peer:
        alone.deploy(function["id"], zip_archive())
        route = peer.upserts[0].route

    label = str(function["domain_name"]).partition(".")[0]
    assert route.hosts == (f"{label}.functions.fnc.fr-par.localhost", f"{label}.functions.fnc.fr-par.scw.cloud")
    assert route.path_prefix == "/fr-par/routes/hello"
    assert route.environment == {"A": "ns", "B": "fn", "C": "fn", "D": "fn"}
    assert (route.min_scale, route.max_scale, route.memory, route.cpu, route.timeout) == (1, 3, 512, 280, 30.0)
    assert (route.runtime, route.language, route.handler, route.privacy) == (
        "python311",
        "Python",
        "handler.handle",
        "private",
    )
    assert Path(route.code_dir, "handler.py").is_file()
    assert "shims" not in route.interpreter
    assert "fn" not in repr(route)


def test_a_start_that_fails_is_told_and_the_old_version_stays_in_the_snapshot(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    with connected_data_plane(alone.settings.control_socket) as peer:
        alone.deploy(function["id"], zip_archive())
        peer.start_error = lambda _route: "the interpreter cannot be run"
        alone.upload(function["id"], zip_archive({"handler.py": "# another\n"}))
        alone.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        failed = alone.wait_until_settled("functions", function["id"])
    folders = Path(alone.settings.data_dir, "deployments")
    wait_until(lambda: [folder.name for folder in folders.iterdir()] == [f"{function['id']}-1"])
    with connected_data_plane(alone.settings.control_socket) as peer:
        routes = peer.snapshot.routes

    assert (failed["status"], failed["error_message"]) == ("error", "the interpreter cannot be run")
    assert [route.generation for route in routes] == [1]


def test_a_newer_deploy_supersedes_a_pending_one(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    with connected_data_plane(alone.settings.control_socket, hold_deployments=True) as peer:
        alone.upload(function["id"], zip_archive())
        alone.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        old = wait_until(lambda: peer.upserts)[0]
        alone.request("PATCH", f"{API}/functions/{function['id']}", {"max_scale": 2}).ok()
        new = wait_until(lambda: peer.upserts[1:])[0]
        peer.respond(old)
        assert alone.get("functions", function["id"])["status"] == "pending"
        peer.respond(new)
        ready = alone.wait_until_settled("functions", function["id"])

    assert (old.route.generation, new.route.generation) == (1, 2)
    assert (ready["status"], ready["max_scale"]) == ("ready", 2)


def test_a_data_plane_that_comes_back_gets_the_pending_deployment_again(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    alone.upload(function["id"], zip_archive())
    with connected_data_plane(alone.settings.control_socket, hold_deployments=True) as peer:
        alone.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        wait_until(lambda: peer.upserts)
    with connected_data_plane(alone.settings.control_socket) as peer:
        assert alone.wait_until_settled("functions", function["id"])["status"] == "ready"


def test_a_function_is_no_longer_routed_when_its_delete_is_answered(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    with connected_data_plane(alone.settings.control_socket) as peer:
        alone.deploy(function["id"], zip_archive())
        alone.request("DELETE", f"{API}/functions/{function['id']}").ok()
        removed = [message.function_id for message in peer.received if isinstance(message, RemoveFunction)]

    assert removed == [function["id"]]


def test_a_namespace_s_new_variables_reach_its_functions_as_a_new_generation(alone: ControlProcess) -> None:
    namespace = alone.create_namespace()
    function = alone.create_function(namespace["id"])
    with connected_data_plane(alone.settings.control_socket) as peer:
        alone.deploy(function["id"], zip_archive())
        alone.request("PATCH", f"{API}/namespaces/{namespace['id']}", {"environment_variables": {"NEW": "1"}}).ok()
        assert alone.wait_until_settled("namespaces", namespace["id"])["status"] == "ready"
        first, second = (one.route for one in peer.upserts)

    assert (first.generation, second.generation) == (1, 2)
    assert second.environment == {"NEW": "1"}
    assert second.code_dir == first.code_dir
    assert alone.get("functions", function["id"])["status"] == "ready"


def test_a_data_plane_that_never_acks_holds_a_delete_for_two_seconds_only(alone: ControlProcess) -> None:
    function = alone.create_function(alone.create_namespace()["id"])
    with connected_data_plane(alone.settings.control_socket) as peer:
        peer.ignore_messages = True
        begun = time.monotonic()
        alone.request("DELETE", f"{API}/functions/{function['id']}").ok()

    assert time.monotonic() - begun > 1.5  # and it was answered, for which the request waits a minute


def test_the_socket_is_its_owner_s_alone(alone: ControlProcess) -> None:
    assert Path(alone.settings.control_socket).stat().st_mode & 0o777 == 0o600


def test_a_version_outlives_a_failed_deploy_by_a_day(tmp_path: Path) -> None:
    with (
        running_control(tmp_path, speed=0.0) as control,
        connected_data_plane(control.settings.control_socket) as peer,
    ):
        function = control.create_function(control.create_namespace()["id"])
        control.deploy(function["id"], zip_archive())
        assert control.deploy(function["id"], b"not a zip")["status"] == "error"

        def removed() -> list[str]:
            return [message.function_id for message in peer.received if isinstance(message, RemoveFunction)]

        control.request("POST", "/fnkit/v1/clock", {"advance": 24 * 3600 - 1}).ok()
        assert removed() == []
        control.request("POST", "/fnkit/v1/clock", {"advance": 2}).ok()
        wait_until(removed)  # what is due has begun when that is answered
        assert removed() == [function["id"]]


def test_the_clock_travels_and_its_move_is_acked(tmp_path: Path) -> None:
    with (
        running_control(tmp_path, speed=0.0) as control,
        connected_data_plane(control.settings.control_socket) as peer,
    ):
        before = peer.snapshot.clock
        control.request("POST", "/fnkit/v1/clock", {"advance": 90}).ok()
        moved = [message.clock for message in peer.received if isinstance(message, ClockChanged)]

    assert (before.speed, [clock.platform_time for clock in moved]) == (0.0, [before.platform_time + 90])
