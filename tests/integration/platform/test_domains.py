"""Domain endpoints: behaviour recorded from the Scaleway API, and routing to the function of a ready domain."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest

from fnkit.platform.model.routing import ControlMessage, HostsChanged, RemoveFunction, Route
from tests.support.control_process import API, ControlProcess, api_client, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.waiting import wait_until

FAILURE = "failed to create domain: check that the domain correctly points to the function URL (https://{})"


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> dict[str, object]:
    return control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])


def create_domain(control: ControlProcess, function: dict[str, object], hostname: str) -> dict[str, object]:
    return control.request("POST", f"{API}/domains", {"hostname": hostname, "function_id": function["id"]}).ok()


def unique_hostname() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}.example.com"


def test_new_domain_is_pending_then_ready_with_its_url(
    control: ControlProcess, function: dict[str, object]
) -> None:
    hostname = unique_hostname()
    created = create_domain(control, function, hostname)

    assert list(created) == ["id", "hostname", "function_id", "url", "status", "error_message"]
    assert (created["status"], created["url"], created["error_message"]) == ("pending", "", None)
    ready = control.wait_until_settled("domains", created["id"])
    assert (ready["status"], ready["url"]) == ("ready", f"https://{hostname}")


def test_deleted_domain_shows_its_url_and_frees_its_hostname(
    control: ControlProcess, function: dict[str, object]
) -> None:
    hostname = unique_hostname()
    created = create_domain(control, function, hostname)
    control.wait_until_settled("domains", created["id"])
    deleted = control.request("DELETE", f"{API}/domains/{created['id']}").ok()
    control.wait_until_deleted("domains", created["id"])
    again = control.request("DELETE", f"{API}/domains/{created['id']}")

    assert (deleted["status"], deleted["url"]) == ("deleting", f"https://{hostname}")
    assert (again.status, again.document) == (404, {"message": "Domain was not found"})
    assert create_domain(control, function, hostname)["status"] == "pending"


@pytest.mark.parametrize("filters", ["function_id", "project_id"])
def test_list_of_a_function_or_project_sorts_by_hostname(control: ControlProcess, filters: str) -> None:
    project = str(uuid.uuid4())
    function = control.create_function(control.create_namespace("domains", project_id=project)["id"])
    ids = {name: create_domain(control, function, f"{name}-{function['id']}.example.com")["id"] for name in "bca"}

    for order, expected in (("", "bca"), ("hostname_asc", "abc"), ("hostname_desc", "cba")):
        query = {filters: {"function_id": function["id"], "project_id": project}[filters], "order_by": order}
        listed = control.request("GET", f"{API}/domains", query=query).ok()
        domains = listed["domains"]
        assert isinstance(domains, list)
        assert [one["id"] for one in domains] == [ids[name] for name in expected]
        assert listed["total_count"] == 3
    assert int(str(control.request("GET", f"{API}/domains").ok()["total_count"])) >= 3


@pytest.mark.parametrize(
    "hostname",
    [
        *("shop", "Shop.example.com", "shop..example.com", "-a.example.com", "a_b.example.com", "*.example.com"),
        *("https://a.example.com", "a.example.com:80", "10.0.0.1", "[::1]", "é.example.com", "a." * 130 + "com"),
        *("a b.example.com", "a.example.com.", "x" * 64 + ".com"),
        "other-name.functions.fnc.nl-ams.localhost",
        "other-name.functions.fnc.fr-par.scw.cloud",
    ],
)
def test_invalid_hostname_gives_the_recorded_error(
    control: ControlProcess, function: dict[str, object], hostname: str
) -> None:
    response = control.request("POST", f"{API}/domains", {"hostname": hostname, "function_id": function["id"]})

    assert (response.status, response.message) == (400, f"could not validate domain [{hostname[:253]}]")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "hostname is required"),
        ({"hostname": "a.example.com"}, 400, "function_id is required"),
        ({"hostname": "a.example.com", "function_id": "x"}, 400, "function_id must be a UUID"),
        (
            {"hostname": "a.example.com", "function_id": "00000000-0000-4000-8000-000000000000"},
            404,
            "Function was not found",
        ),
        ({"hostname": 1}, 400, "invalid value for hostname: Expected `str | null`, got `int`"),
    ],
    ids=str,
)
def test_invalid_request_is_rejected_with_reason(
    control: ControlProcess, body: dict[str, object], status: int, message: str
) -> None:
    response = control.request("POST", f"{API}/domains", body)

    assert (response.status, response.document) == (status, {"message": message})


def test_hostname_is_unique_across_regions(control: ControlProcess, function: dict[str, object]) -> None:
    hostname = unique_hostname()
    create_domain(control, function, hostname)
    other = API.replace("fr-par", "nl-ams")
    namespace = control.request(
        "POST", f"{other}/namespaces", {"name": unique_hostname(), "project_id": control.settings.project_id}
    ).ok()
    body = {"name": "x", "namespace_id": namespace["id"], "runtime": "python311"}
    other_function = control.request("POST", f"{other}/functions", body).ok()
    response = control.request(
        "POST", f"{other}/domains", {"hostname": hostname, "function_id": other_function["id"]}
    )

    assert (response.status, response.document) == (409, {"message": "Domain already exist"})


def test_function_can_have_at_most_fifty_domains(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    for number in range(50):
        create_domain(control, function, f"h{number}-{function['id']}.example.com")
    response = control.request(
        "POST", f"{API}/domains", {"hostname": unique_hostname(), "function_id": function["id"]}
    )

    assert response.status == 403
    assert response.document == {
        "message": "quota(s) exceeded for this resource",
        "type": "quotas_exceeded",
        "details": [{"resource": "function_domains", "quota": 50, "current": 50}],
    }


def test_domains_are_deleted_with_their_function_or_namespace(control: ControlProcess) -> None:
    namespace = control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")
    first, second = control.create_function(namespace["id"], "a"), control.create_function(namespace["id"], "b")
    one, two = create_domain(control, first, unique_hostname()), create_domain(control, second, unique_hostname())
    control.request("DELETE", f"{API}/functions/{first['id']}").ok()
    control.wait_until_deleted("domains", one["id"])
    control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()
    control.wait_until_deleted("domains", two["id"])


def test_domain_can_be_created_for_function_in_error(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    assert control.wait_until_settled("functions", function["id"])["status"] == "error"

    created = create_domain(control, function, unique_hostname())
    assert control.wait_until_settled("domains", created["id"])["status"] == "ready"


def test_domain_change_updates_hostnames_without_redeployment(tmp_path: Path) -> None:
    with running_control(tmp_path) as control, connected_data_plane(control.settings.control_socket) as peer:
        function = control.create_function(control.create_namespace()["id"])
        control.deploy(function["id"], zip_archive())
        generated = peer.upserts[0].route.hosts
        domain = create_domain(control, function, "a.example.com")
        control.wait_until_settled("domains", domain["id"])
        control.request("DELETE", f"{API}/domains/{domain['id']}").ok()

        updates = [message.hosts for message in peer.received if isinstance(message, HostsChanged)]
        assert updates == [(*generated, "a.example.com"), generated]
        assert len(peer.upserts) == 1
        assert not any(isinstance(message, RemoveFunction) for message in peer.received)


def test_pending_deployment_includes_domains_added_meanwhile(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        control.upload(function["id"], zip_archive())
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        wait_until(lambda: is_built(control, function))
        domain = create_domain(control, function, "a.example.com")
        control.wait_until_settled("domains", domain["id"])
        with connected_data_plane(control.settings.control_socket) as peer:
            control.wait_until_settled("functions", function["id"])

            assert "a.example.com" in peer.upserts[0].route.hosts


def is_built(control: ControlProcess, function: dict[str, object]) -> bool:
    """Return whether the code of the first deployment is in its directory."""
    return Path(control.settings.data_dir, "deployments", f"{function['id']}-1", "handler.py").exists()


@pytest.mark.long
def test_domains_are_routed_again_after_control_is_killed(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        with connected_data_plane(control.settings.control_socket):
            control.deploy(function["id"], zip_archive())
            create_domain(control, function, "a.example.com")
        control.kill()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            wait_until(lambda: "a.example.com" in hostnames(peer.snapshot.routes, peer.received))


def hostnames(routes: Iterable[Route], received: Iterable[ControlMessage]) -> set[str]:
    """Return all hostnames of the snapshot and of the later changes."""
    later = [message.hosts for message in received if isinstance(message, HostsChanged)]
    return {host for hosts in (*(route.hosts for route in routes), *later) for host in hosts}


@pytest.mark.slow
def test_function_is_served_at_its_domain_until_domain_is_deleted(platform: PlatformUnderTest) -> None:
    control = api_client(platform)
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    hostname = unique_hostname()
    first = create_domain(control, function, hostname)
    control.wait_until_settled("domains", first["id"])
    assert call_function(platform, hostname).status == 404, "the function is not deployed yet"

    control.deploy(function["id"], zip_archive())
    assert call_function(platform, hostname).text == "hello"
    second = create_domain(control, function, f"second-{hostname}")
    control.wait_until_settled("domains", second["id"])
    assert call_function(platform, f"second-{hostname}:8443").text == "hello"

    control.request("DELETE", f"{API}/domains/{second['id']}").ok()
    assert call_function(platform, f"second-{hostname}").status == 404
    assert call_function(platform, hostname).text == "hello"
    control.request("PATCH", f"{API}/functions/{function['id']}", {"max_scale": 2}).ok()
    control.wait_until_settled("functions", function["id"])
    assert call_function(platform, hostname).text == "hello"


@pytest.mark.slow
def test_failed_domain_verification_gives_the_recorded_error(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home", "--manual-clock", "--verify-domains") as platform:
        control = api_client(platform)
        function = control.create_function(control.create_namespace()["id"])
        domain = create_domain(control, function, "unresolved.invalid")
        platform.advance(170)
        assert control.current_status("domains", domain["id"]) == "pending"
        platform.advance(20)
        failed = control.wait_until_settled("domains", domain["id"], 60)

        assert (failed["status"], failed["url"]) == ("error", "")
        assert failed["error_message"] == FAILURE.format(function["domain_name"])
        deleted = control.request("DELETE", f"{API}/domains/{domain['id']}").ok()
        assert (deleted["status"], deleted["url"], deleted["error_message"]) == ("deleting", "", None)
