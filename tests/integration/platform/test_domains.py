"""Domains over HTTP, as recorded; and a ready domain is answered by its function, at once and after restarts."""

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


def bind(control: ControlProcess, function: dict[str, object], hostname: str) -> dict[str, object]:
    return control.request("POST", f"{API}/domains", {"hostname": hostname, "function_id": function["id"]}).ok()


def fresh() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}.example.com"


def test_a_domain_is_pending_then_ready_with_its_url(control: ControlProcess, function: dict[str, object]) -> None:
    hostname = fresh()
    created = bind(control, function, hostname)

    assert list(created) == ["id", "hostname", "function_id", "url", "status", "error_message"]
    assert (created["status"], created["url"], created["error_message"]) == ("pending", "", None)
    ready = control.wait_until_settled("domains", created["id"])
    assert (ready["status"], ready["url"]) == ("ready", f"https://{hostname}")


def test_a_deleted_domain_shows_its_url_until_it_is_gone(
    control: ControlProcess, function: dict[str, object]
) -> None:
    hostname = fresh()
    created = bind(control, function, hostname)
    control.wait_until_settled("domains", created["id"])
    deleted = control.request("DELETE", f"{API}/domains/{created['id']}").ok()
    control.wait_until_deleted("domains", created["id"])
    again = control.request("DELETE", f"{API}/domains/{created['id']}")

    assert (deleted["status"], deleted["url"]) == ("deleting", f"https://{hostname}")
    assert (again.status, again.document) == (404, {"message": "Domain was not found"})
    assert bind(control, function, hostname)["status"] == "pending"


def test_a_list_needs_its_function_and_can_be_sorted_by_hostname(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    ids = {name: bind(control, function, f"{name}-{function['id']}.example.com")["id"] for name in "bca"}

    for order, expected in (("", "bca"), ("hostname_asc", "abc"), ("hostname_desc", "cba")):
        query = {"function_id": function["id"], "order_by": order}
        listed = control.request("GET", f"{API}/domains", query=query).ok()
        domains = listed["domains"]
        assert isinstance(domains, list)
        assert [one["id"] for one in domains] == [ids[name] for name in expected]
        assert listed["total_count"] == 3
    assert control.request("GET", f"{API}/domains").message == "function_id is required"


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
def test_what_cannot_be_a_hostname_is_refused_in_the_recorded_words(
    control: ControlProcess, function: dict[str, object], hostname: str
) -> None:
    answer = control.request("POST", f"{API}/domains", {"hostname": hostname, "function_id": function["id"]})

    assert (answer.status, answer.message) == (400, f"could not validate domain [{hostname[:253]}]")


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
def test_a_field_that_cannot_be_is_named(
    control: ControlProcess, body: dict[str, object], status: int, message: str
) -> None:
    answer = control.request("POST", f"{API}/domains", body)

    assert (answer.status, answer.document) == (status, {"message": message})


def test_a_hostname_leads_to_one_function_of_all_regions(
    control: ControlProcess, function: dict[str, object]
) -> None:
    hostname = fresh()
    bind(control, function, hostname)
    other = API.replace("fr-par", "nl-ams")
    namespace = control.request(
        "POST", f"{other}/namespaces", {"name": fresh(), "project_id": control.settings.project_id}
    ).ok()
    body = {"name": "x", "namespace_id": namespace["id"], "runtime": "python311"}
    elsewhere = control.request("POST", f"{other}/functions", body).ok()
    answer = control.request("POST", f"{other}/domains", {"hostname": hostname, "function_id": elsewhere["id"]})

    assert (answer.status, answer.document) == (409, {"message": "Domain already exist"})


def test_a_function_has_fifty_domains_at_most(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    for number in range(50):
        bind(control, function, f"h{number}-{function['id']}.example.com")
    answer = control.request("POST", f"{API}/domains", {"hostname": fresh(), "function_id": function["id"]})

    assert answer.status == 403
    assert answer.document == {
        "message": "quota(s) exceeded for this resource",
        "type": "quotas_exceeded",
        "details": [{"resource": "function_domains", "quota": 50, "current": 50}],
    }


def test_domains_go_with_their_function_and_namespace(control: ControlProcess) -> None:
    namespace = control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")
    first, second = control.create_function(namespace["id"], "a"), control.create_function(namespace["id"], "b")
    one, two = bind(control, first, fresh()), bind(control, second, fresh())
    control.request("DELETE", f"{API}/functions/{first['id']}").ok()
    control.wait_until_deleted("domains", one["id"])
    control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()
    control.wait_until_deleted("domains", two["id"])


def test_a_domain_may_be_bound_to_a_function_in_error(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
    assert control.wait_until_settled("functions", function["id"])["status"] == "error"

    created = bind(control, function, fresh())
    assert control.wait_until_settled("domains", created["id"])["status"] == "ready"


def test_the_data_plane_hears_of_names_without_a_deployment(tmp_path: Path) -> None:
    with running_control(tmp_path) as control, connected_data_plane(control.settings.control_socket) as peer:
        function = control.create_function(control.create_namespace()["id"])
        control.deploy(function["id"], zip_archive())
        native = peer.upserts[0].route.hosts
        domain = bind(control, function, "a.example.com")
        control.wait_until_settled("domains", domain["id"])
        control.request("DELETE", f"{API}/domains/{domain['id']}").ok()

        told = [message.hosts for message in peer.received if isinstance(message, HostsChanged)]
        assert told == [(*native, "a.example.com"), native]
        assert len(peer.upserts) == 1
        assert not any(isinstance(message, RemoveFunction) for message in peer.received)


def test_a_deployment_that_was_held_back_answers_under_names_that_came_meanwhile(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        control.upload(function["id"], zip_archive())
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        wait_until(lambda: "finished" in build_log(control, function))
        domain = bind(control, function, "a.example.com")
        control.wait_until_settled("domains", domain["id"])
        with connected_data_plane(control.settings.control_socket) as peer:
            control.wait_until_settled("functions", function["id"])

            assert "a.example.com" in peer.upserts[0].route.hosts


def build_log(control: ControlProcess, function: dict[str, object]) -> str:
    """Built code, whatever the log says of it, lies in its folder before it is started."""
    folder = Path(control.settings.data_dir, "deployments")
    return "finished" if any(folder.glob(f"{function['id']}-1/handler.py")) else ""


def test_names_are_there_after_control_was_killed(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        with connected_data_plane(control.settings.control_socket):
            control.deploy(function["id"], zip_archive())
            bind(control, function, "a.example.com")
        control.kill()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            wait_until(lambda: "a.example.com" in names(peer.snapshot.routes, peer.received))


def names(routes: Iterable[Route], received: Iterable[ControlMessage]) -> set[str]:
    """Every name of the snapshot and of what came after it."""
    later = [message.hosts for message in received if isinstance(message, HostsChanged)]
    return {host for hosts in (*(route.hosts for route in routes), *later) for host in hosts}


@pytest.mark.slow
def test_a_real_function_answers_under_its_domain_until_it_is_deleted(platform: PlatformUnderTest) -> None:
    control = api_client(platform)
    function = control.create_function(control.create_namespace(f"domains-{uuid.uuid4().hex[:6]}")["id"])
    hostname = fresh()
    early = bind(control, function, hostname)
    control.wait_until_settled("domains", early["id"])
    assert call_function(platform, hostname).status == 404, "nothing is deployed there yet"

    control.deploy(function["id"], zip_archive())
    assert call_function(platform, hostname).text == "hello"
    late = bind(control, function, f"late-{hostname}")
    control.wait_until_settled("domains", late["id"])
    assert call_function(platform, f"late-{hostname}:8443").text == "hello"

    control.request("DELETE", f"{API}/domains/{late['id']}").ok()
    assert call_function(platform, f"late-{hostname}").status == 404
    assert call_function(platform, hostname).text == "hello"
    control.request("PATCH", f"{API}/functions/{function['id']}", {"max_scale": 2}).ok()
    control.wait_until_settled("functions", function["id"])
    assert call_function(platform, hostname).text == "hello"


@pytest.mark.slow
def test_a_domain_that_has_to_lead_here_and_does_not_ends_in_the_recorded_error(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home", "--manual-clock", "--verify-domains") as platform:
        control = api_client(platform)
        function = control.create_function(control.create_namespace()["id"])
        domain = bind(control, function, "nobody.invalid")
        platform.advance(170)
        assert control.get("domains", domain["id"])["status"] == "pending"
        platform.advance(20)
        failed = control.wait_until_settled("domains", domain["id"], 60)

        assert (failed["status"], failed["url"]) == ("error", "")
        assert failed["error_message"] == FAILURE.format(function["domain_name"])
        deleted = control.request("DELETE", f"{API}/domains/{domain['id']}").ok()
        assert (deleted["status"], deleted["url"], deleted["error_message"]) == ("deleting", "", None)
