"""Deployments with the engine ``kubernetes``: they start with an image, which nodes pull with their own key."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fnkit.platform.model.derived_keys import registry_pull_key
from fnkit.platform.model.routing import ImageProgram, LocalProgram, PrestartInterpreter, Route
from tests.support.control_process import API, SECRET_KEY, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import FakeDataPlane, connected_data_plane
from tests.support.image_registry import DOCKER_REGISTRY, make_image, name_on, respond_with, running_registry
from tests.support.ports import free_port
from tests.support.registry import RegistryClient, layer_files
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server
from tests.support.waiting import DEADLINE, wait_until

REGISTRY_HOST = "10.1.2.3:8480"
HANDLER = "def handle(event, context):\n    return 'hello'\n"
DEPENDENCIES = {"package/dep/__init__.py": "x = 1\n"}


@contextmanager
def running_cluster_control(home: Path, base_images: dict[str, str]) -> Iterator[ControlProcess]:
    with running_control(
        home, engine="kubernetes", registry_host=REGISTRY_HOST, base_images=base_images
    ) as control:
        yield control


@pytest.fixture(scope="module")
def base_images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A small base, because making one of this machine's interpreter takes seconds."""
    if DOCKER_REGISTRY is None:
        yield {}
        return
    with running_registry(tmp_path_factory.mktemp("r") / "registry") as registry:
        registry.push("team/base", "1", make_image())
        yield {"python311": f"{registry.host}/team/base:1"}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory, base_images: dict[str, str]) -> Iterator[ControlProcess]:
    with running_cluster_control(tmp_path_factory.mktemp("c"), base_images) as running:
        yield running


@pytest.fixture
def data_plane(control: ControlProcess) -> Iterator[FakeDataPlane]:
    with connected_data_plane(control.settings.control_socket, isolation="kubernetes") as peer:
        yield peer


def create_function(control: ControlProcess, **fields: object) -> dict[str, object]:
    namespace = control.create_namespace(f"images-{uuid.uuid4().hex[:6]}")
    return control.create_function(namespace["id"], handler="handler.handle", **fields)


def deploy(control: ControlProcess, function: dict[str, object], text: str = HANDLER) -> None:
    deployed = control.deploy(function["id"], zip_archive({"handler.py": text, **DEPENDENCIES}))
    assert deployed["status"] == "ready", deployed


def node(control: ControlProcess) -> RegistryClient:
    """Return the registry as a node of the cluster sees it."""
    return RegistryClient(control, registry_pull_key(SECRET_KEY))


def owner(control: ControlProcess) -> RegistryClient:
    return RegistryClient(control, SECRET_KEY)


def image_of(route: Route) -> tuple[str, str]:
    """Return repository and digest of the image that a route runs."""
    assert isinstance(route.program, ImageProgram)
    name, _, digest = route.image.partition("@")
    host, _, repository = name.partition("/")
    assert host == REGISTRY_HOST
    return repository, digest


def pulled_code(control: ControlProcess, route: Route) -> bytes:
    """Pull everything of the image that a route runs, as a node does, and return the handler in it."""
    repository, digest = image_of(route)
    return layer_files(node(control).layers(repository, digest)[-1])["home/app/function/handler.py"]


def latest_route(data_plane: FakeDataPlane, function: dict[str, object], generation: int) -> Route:
    def matching() -> list[Route]:
        routes = [message.route for message in data_plane.upserts]
        return [one for one in routes if (one.function_id, one.generation) == (function["id"], generation)]

    wait_until(lambda: bool(matching()), what=f"a start of generation {generation}")
    return matching()[-1]


def build_log(control: ControlProcess, function: dict[str, object]) -> str:
    file = Path(control.settings.data_dir, "logs", str(function["id"]), "build.jsonl")
    return "\n".join(json.loads(line)["message"] for line in file.read_text().splitlines())


def routes_after_restart(control: ControlProcess) -> dict[str, Route]:
    """Restart control and return the routes of its snapshot, by function."""
    control.stop()
    control.start()
    with connected_data_plane(control.settings.control_socket) as peer:
        return {route.function_id: route for route in peer.snapshot.routes}


def test_deployment_runs_an_image_that_nodes_pull_by_its_digest(
    control: ControlProcess, data_plane: FakeDataPlane
) -> None:
    function = create_function(control)
    deploy(control, function)
    route = latest_route(data_plane, function, 1)
    repository, digest = image_of(route)
    assert pulled_code(control, route) == HANDLER.encode()
    assert owner(control).tags(repository) == ["1", "latest"]
    answer = owner(control).request(f"{repository}/manifests/latest", "HEAD")
    assert answer.headers["Docker-Content-Digest"] == digest
    assert not [one for one in data_plane.received if isinstance(one, PrestartInterpreter)]


def test_change_of_settings_has_an_image_of_its_own_with_the_same_layers(
    control: ControlProcess, data_plane: FakeDataPlane
) -> None:
    function = create_function(control)
    deploy(control, function)
    control.request("PATCH", f"{API}/functions/{function['id']}", {"environment_variables": {"A": "1"}}).ok()
    control.wait_until_settled("functions", function["id"])
    before, after = (image_of(latest_route(data_plane, function, number)) for number in (1, 2))
    assert before != after
    assert node(control).manifest(*before)["layers"] == node(control).manifest(*after)["layers"]


def test_change_of_the_namespace_starts_images_with_its_variables(
    control: ControlProcess, data_plane: FakeDataPlane
) -> None:
    function = create_function(control)
    deploy(control, function)
    path = f"{API}/namespaces/{function['namespace_id']}"
    control.request("PATCH", path, {"environment_variables": {"SHARED": "yes"}}).ok()
    route = latest_route(data_plane, function, 2)
    assert route.environment == {"SHARED": "yes"}
    config = node(control).config(*image_of(route))["config"]
    assert isinstance(config, dict)
    assert "SHARED=yes" in config["Env"]


def test_route_names_the_private_network(control: ControlProcess, data_plane: FakeDataPlane) -> None:
    network = str(uuid.uuid4())
    attached, detached = create_function(control, private_network_id=network), create_function(control)
    deploy(control, attached)
    deploy(control, detached)
    assert latest_route(data_plane, attached, 1).private_network_id == network
    assert latest_route(data_plane, detached, 1).private_network_id == ""


def test_later_versions_share_dependencies(control: ControlProcess, data_plane: FakeDataPlane) -> None:
    function = create_function(control)
    deploy(control, function)
    deploy(control, function, f"{HANDLER}# changed\n")
    assert "The dependencies are those of an earlier deployment." in build_log(control, function)
    before, after = (
        layer_files(node(control).layers(*image_of(latest_route(data_plane, function, number)))[-2])
        for number in (1, 2)
    )
    assert before == after


def test_key_of_nodes_pulls_what_is_named_and_lists_nothing(
    control: ControlProcess, data_plane: FakeDataPlane
) -> None:
    function = create_function(control)
    deploy(control, function)
    repository, digest = image_of(latest_route(data_plane, function, 1))
    assert node(control).request("").status == 200
    for path in ("_catalog", f"{repository}/tags/list", f"{repository}/referrers/{digest}"):
        answer = node(control).request(path)
        assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (403, "DENIED"), path
    assert node(control).request(f"{repository}/manifests/9", "PUT").status == 403
    assert node(control).request(f"{repository}/manifests/sha256:{'0' * 64}").status == 404


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/functions",
        f"{API}/namespaces",
        "/fnkit/v1/keys",
        "/metrics",
        "/loki/api/v1/labels",
    ],
)
def test_key_of_nodes_opens_nothing_else(control: ControlProcess, path: str) -> None:
    key = registry_pull_key(SECRET_KEY)
    refused = control.request("GET", path, headers={"X-Auth-Token": key})
    unknown = control.request("GET", path, headers={"X-Auth-Token": "unknown"})
    assert (refused.status, refused.body) == (unknown.status, unknown.body)
    assert refused.status in (401, 403)
    bearer = control.request("GET", path, headers={"X-Auth-Token": "", "Authorization": f"Bearer {key}"})
    assert bearer.status in (401, 403)


def test_instances_of_this_machine_leave_no_key_for_nodes(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        assert node(control).request("").status == 401
        assert owner(control).request("").status == 200


def test_failed_start_leaves_no_image(control: ControlProcess) -> None:
    function = create_function(control)
    with connected_data_plane(control.settings.control_socket, start_error=lambda _route: "it crashed") as peer:
        failed = control.deploy(function["id"], zip_archive())
        assert (failed["status"], failed["error_message"]) == ("error", "it crashed")
        repository, digest = image_of(latest_route(peer, function, 1))
    assert owner(control).tags(repository) == []
    assert node(control).request(f"{repository}/manifests/{digest}").status == 404


def test_restart_keeps_the_digest(tmp_path: Path, base_images: dict[str, str]) -> None:
    with running_cluster_control(tmp_path, base_images) as control:
        function = create_function(control)
        with connected_data_plane(control.settings.control_socket) as peer:
            deploy(control, function)
            route = latest_route(peer, function, 1)
        assert routes_after_restart(control)[route.function_id].program == route.program
        assert pulled_code(control, route) == HANDLER.encode()


def test_deployment_that_control_resumes_after_a_kill_keeps_its_digest(
    tmp_path: Path, base_images: dict[str, str]
) -> None:
    with running_cluster_control(tmp_path, base_images) as control:
        function = create_function(control)
        with connected_data_plane(control.settings.control_socket, hold_deployments=True) as peer:
            control.upload(function["id"], zip_archive())
            control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
            before = latest_route(peer, function, 1)
            control.kill()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert latest_route(peer, function, 1).program == before.program
            assert control.wait_until_settled("functions", function["id"])["status"] == "ready"
        assert owner(control).tags(image_of(before)[0]) == ["1", "latest"]


@pytest.mark.long
def test_missing_image_is_made_again_and_then_served(tmp_path: Path, base_images: dict[str, str]) -> None:
    with running_cluster_control(tmp_path, base_images) as control:
        lost, kept = create_function(control), create_function(control)
        with connected_data_plane(control.settings.control_socket) as peer:
            deploy(control, lost, f"{HANDLER}# lost\n")
            deploy(control, kept)
            repository, digest = image_of(latest_route(peer, lost, 1))
        code = node(control).manifest(repository, digest)["layers"]
        assert isinstance(code, list)
        control.stop()
        (tmp_path / "layers" / code[-1]["digest"].removeprefix("sha256:")).unlink()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert str(kept["id"]) in {route.function_id for route in peer.snapshot.routes}
            served = [route for route in peer.snapshot.routes if route.function_id == lost["id"]]
            route = served[0] if served else latest_route(peer, lost, 1)
            assert pulled_code(control, route) == f"{HANDLER}# lost\n".encode()
        assert control.get("functions", lost["id"])["status"] == "ready"
        assert routes_after_restart(control)[str(lost["id"])].program == route.program


def test_functions_that_ran_on_this_machine_get_images(tmp_path: Path, base_images: dict[str, str]) -> None:
    with running_control(tmp_path) as control:
        function = create_function(control)
        with connected_data_plane(control.settings.control_socket) as peer:
            deploy(control, function)
            assert isinstance(latest_route(peer, function, 1).program, LocalProgram)
    with (
        running_cluster_control(tmp_path, base_images) as control,
        connected_data_plane(control.settings.control_socket) as peer,
    ):
        assert peer.snapshot.routes == ()
        assert pulled_code(control, latest_route(peer, function, 1)) == HANDLER.encode()


@pytest.mark.long
def test_base_that_cannot_be_pulled_fails_the_deployment_and_the_old_version_is_pulled_on(
    tmp_path: Path, base_images: dict[str, str]
) -> None:
    with running_cluster_control(tmp_path, base_images) as control:
        function = create_function(control)
        with connected_data_plane(control.settings.control_socket) as peer:
            deploy(control, function)
            before = latest_route(peer, function, 1)
    base = f"localhost:{free_port()}/team/base:1"
    with running_cluster_control(tmp_path, {"python311": base}) as control:
        failed = control.deploy(function["id"], zip_archive({"handler.py": f"{HANDLER}# new\n"}))
        assert failed["status"] == "error"
        assert base in str(failed["error_message"])
        assert "cannot be reached" in str(failed["error_message"])
        assert str(failed["error_message"]) in build_log(control, function)
        assert owner(control).tags(image_of(before)[0]) == ["1", "latest"]
        assert pulled_code(control, before) == HANDLER.encode()
        assert routes_after_restart(control)[before.function_id].program == before.program


@pytest.mark.long
@pytest.mark.skipif(DOCKER_REGISTRY is None, reason="docker-registry is not installed")
def test_missing_image_is_tried_again_until_its_base_can_be_pulled(tmp_path: Path) -> None:
    port = free_port()
    with running_cluster_control(tmp_path, {"python311": f"localhost:{port}/team/base:1"}) as control:
        function = create_function(control)
        with (
            running_registry(tmp_path / "first", port=port) as registry,
            connected_data_plane(control.settings.control_socket),
        ):
            registry.push("team/base", "1", make_image())
            deploy(control, function)
        control.stop()
        for layer in (tmp_path / "layers").iterdir():
            layer.unlink()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert peer.snapshot.routes == ()
            wait_until(lambda: "This is tried again." in build_log(control, function))
            assert control.get("functions", function["id"])["status"] == "ready"
            with running_registry(tmp_path / "second", port=port) as registry:
                registry.push("team/base", "1", make_image())
                assert pulled_code(control, latest_route(peer, function, 1)) == HANDLER.encode()


def test_newer_deployment_waits_for_the_base_that_the_superseded_one_asked_for(tmp_path: Path) -> None:
    has_base, honest = threading.Event(), respond_with(make_image())

    def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
        assert has_base.wait(DEADLINE)
        return honest(request, earlier)

    with (
        scripted_server(answer) as server,
        running_cluster_control(tmp_path, {"python311": name_on(server)}) as control,
        connected_data_plane(control.settings.control_socket) as peer,
    ):
        function = create_function(control)
        path = f"{API}/functions/{function['id']}"
        control.upload(function["id"], zip_archive())
        control.request("POST", f"{path}/deploy", {}).ok()
        wait_until(lambda: bool(server.requests), what="a request for the base")
        listed = control.request("GET", f"{API}/functions", query={"name": "hello"}).ok()["functions"]
        assert isinstance(listed, list)
        assert "image is being pushed" in listed[0]["build_message"]
        control.request("PATCH", path, {"environment_variables": {"A": "1"}}).ok()
        has_base.set()
        assert pulled_code(control, latest_route(peer, function, 2))
        assert not [upsert for upsert in peer.upserts if upsert.route.generation == 1]
        requested = [request.path for request in server.requests]
        assert len(requested) == len(set(requested))


@pytest.mark.long
def test_serving_version_keeps_its_image_whatever_number_of_deployments_follows(
    tmp_path: Path, base_images: dict[str, str]
) -> None:
    with running_cluster_control(tmp_path, base_images) as control:
        function = create_function(control)
        with connected_data_plane(
            control.settings.control_socket, start_error=lambda route: "broken" if route.generation > 1 else None
        ) as peer:
            deploy(control, function)
            serving = latest_route(peer, function, 1)
            for number in range(51):
                change = {"environment_variables": {"N": str(number)}}
                control.request("PATCH", f"{API}/functions/{function['id']}", change).ok()
            assert control.wait_until_settled("functions", function["id"])["error_message"] == "broken"
            latest_route(peer, function, 52)
        assert pulled_code(control, serving) == HANDLER.encode()
        assert routes_after_restart(control)[serving.function_id].program == serving.program
