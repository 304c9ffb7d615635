"""Control's end of the socket to the data plane."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.program import local_program
from fnkit.platform.model.routing import ClockChanged, Handshake, RemoveFunction, encode_frame
from tests.support.control_process import API, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import FakeDataPlane, connected_data_plane
from tests.support.foreign_process import bytes_from_socket
from tests.support.waiting import DEADLINE, wait_until


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlProcess]:
    """A control process without a data plane, one per test."""
    with running_control(tmp_path) as process:
        yield process


def test_deployment_is_pending_until_the_data_plane_starts_it(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    control.upload(function["id"], zip_archive())
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    folder = Path(control.settings.data_dir, "deployments", f"{function['id']}-1")
    wait_until(folder.exists)
    assert control.current_status("functions", function["id"]) == "pending"
    assert control.request("GET", "/healthz").status == 503

    with connected_data_plane(control.settings.control_socket, hold_deployments=True) as peer:
        upsert = wait_until(lambda: peer.upserts)[0]
        assert peer.snapshot.routes == ()
        assert control.current_status("functions", function["id"]) == "pending"
        peer.respond(upsert)
        assert control.wait_until_settled("functions", function["id"])["status"] == "ready"
        assert control.request("GET", "/healthz").status == 200

    wait_until(lambda: control.request("GET", "/healthz").status == 503)


def test_route_contains_all_settings_of_the_function(control: ControlProcess) -> None:
    namespace = control.create_namespace(
        "routes",
        environment_variables={"A": "ns", "B": "ns"},
        secret_environment_variables=[{"key": "C", "value": "ns"}],
    )
    function = control.create_function(
        namespace["id"],
        environment_variables={"B": "fn"},
        secret_environment_variables=[{"key": "C", "value": "fn"}, {"key": "D", "value": "fn"}],
        privacy="private",
        min_scale=1,
        max_scale=3,
        memory_limit=512,
        timeout="30s",
    )
    with connected_data_plane(control.settings.control_socket) as peer:
        control.deploy(function["id"], zip_archive())
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
    assert Path(local_program(route).code_dir, "handler.py").is_file()
    assert "shims" not in local_program(route).interpreter
    assert "fn" not in repr(route)


def test_failed_start_is_reported_and_previous_version_stays_routed(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    with connected_data_plane(control.settings.control_socket) as peer:
        control.deploy(function["id"], zip_archive())
        peer.start_error = lambda _route: "the interpreter cannot be run"
        control.upload(function["id"], zip_archive({"handler.py": "# another\n"}))
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        failed = control.wait_until_settled("functions", function["id"])
    folders = Path(control.settings.data_dir, "deployments")
    wait_until(lambda: [folder.name for folder in folders.iterdir()] == [f"{function['id']}-1"])
    with connected_data_plane(control.settings.control_socket) as peer:
        routes = peer.snapshot.routes

    assert (failed["status"], failed["error_message"]) == ("error", "the interpreter cannot be run")
    assert [route.generation for route in routes] == [1]


def test_newer_deploy_supersedes_a_pending_one(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    with connected_data_plane(control.settings.control_socket, hold_deployments=True) as peer:
        control.upload(function["id"], zip_archive())
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        old = wait_until(lambda: peer.upserts)[0]
        control.request("PATCH", f"{API}/functions/{function['id']}", {"max_scale": 2}).ok()
        new = wait_until(lambda: peer.upserts[1:])[0]
        peer.respond(old)
        assert control.current_status("functions", function["id"]) == "pending"
        peer.respond(new)
        ready = control.wait_until_settled("functions", function["id"])

    assert (old.route.generation, new.route.generation) == (1, 2)
    assert (ready["status"], ready["max_scale"]) == ("ready", 2)


def test_reconnected_data_plane_receives_pending_deployment(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    control.upload(function["id"], zip_archive())
    with connected_data_plane(control.settings.control_socket, hold_deployments=True) as peer:
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        wait_until(lambda: peer.upserts)
    with connected_data_plane(control.settings.control_socket) as peer:
        assert control.wait_until_settled("functions", function["id"])["status"] == "ready"


def test_function_is_unrouted_before_its_delete_returns(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    with connected_data_plane(control.settings.control_socket) as peer:
        control.deploy(function["id"], zip_archive())
        control.request("DELETE", f"{API}/functions/{function['id']}").ok()
        removed = [message.function_id for message in peer.received if isinstance(message, RemoveFunction)]

    assert removed == [function["id"]]


def test_namespace_variable_change_redeploys_its_functions(control: ControlProcess) -> None:
    namespace = control.create_namespace()
    function = control.create_function(namespace["id"])
    with connected_data_plane(control.settings.control_socket) as peer:
        control.deploy(function["id"], zip_archive())
        control.request(
            "PATCH", f"{API}/namespaces/{namespace['id']}", {"environment_variables": {"NEW": "1"}}
        ).ok()
        assert control.wait_until_settled("namespaces", namespace["id"])["status"] == "ready"
        first, second = (one.route for one in peer.upserts)

    assert (first.generation, second.generation) == (1, 2)
    assert second.environment == {"NEW": "1"}
    assert local_program(second).code_dir == local_program(first).code_dir
    assert control.get("functions", function["id"])["status"] == "ready"


def test_namespace_that_is_described_while_its_functions_redeploy_becomes_ready(control: ControlProcess) -> None:
    namespace = control.create_namespace()
    function = control.create_function(namespace["id"])
    path = f"{API}/namespaces/{namespace['id']}"
    with connected_data_plane(control.settings.control_socket) as peer:
        control.deploy(function["id"], zip_archive())
        peer.hold_deployments = True
        control.request("PATCH", path, {"environment_variables": {"NEW": "1"}}).ok()
        wait_until(lambda: len(peer.upserts) == 2)
        peer.hold_deployments = False
        assert control.request("PATCH", path, {"description": "new"}).ok()["status"] == "pending"
        assert control.wait_until_settled("namespaces", namespace["id"])["status"] == "ready"


@pytest.mark.long
def test_delete_returns_after_ack_timeout_of_the_data_plane(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace()["id"])
    with connected_data_plane(control.settings.control_socket) as peer:
        peer.ignore_messages = True
        started_at = time.monotonic()
        control.request("DELETE", f"{API}/functions/{function['id']}").ok()

    assert time.monotonic() - started_at > 1.5  # and the request completed, within its timeout of a minute


def test_connection_without_the_secret_gets_no_routes(tmp_path: Path) -> None:
    with running_control(tmp_path, link_secret="right") as control:
        path = control.settings.control_socket
        for secret in ("", "wrong", "right and more"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(DEADLINE)
                peer.connect(path)
                peer.sendall(encode_frame(Handshake(secret=secret, pid=1, gateway_port=1, isolation="test")))
                assert peer.recv(1) == b""
        data_plane = FakeDataPlane(path, secret="right")
        data_plane.connect()
        data_plane.close()


def test_process_of_the_same_user_outside_the_platform_gets_no_routes(control: ControlProcess) -> None:
    hello = encode_frame(Handshake(secret="", pid=1, gateway_port=1, isolation="test"))
    assert bytes_from_socket(control.settings.control_socket, hello) == b""


def test_control_socket_is_accessible_only_to_its_owner(control: ControlProcess) -> None:
    assert Path(control.settings.control_socket).stat().st_mode & 0o777 == 0o600


def test_previous_version_is_removed_one_day_after_failed_deploy(tmp_path: Path) -> None:
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
        wait_until(removed)  # the clock endpoint returns once due work has begun
        assert removed() == [function["id"]]


def test_clock_advance_is_sent_to_the_data_plane(tmp_path: Path) -> None:
    with (
        running_control(tmp_path, speed=0.0) as control,
        connected_data_plane(control.settings.control_socket) as peer,
    ):
        before = peer.snapshot.clock
        control.request("POST", "/fnkit/v1/clock", {"advance": 90}).ok()
        moved = [message.clock for message in peer.received if isinstance(message, ClockChanged)]

    assert (before.speed, [clock.platform_time for clock in moved]) == (0.0, [before.platform_time + 90])
