"""Additional API keys: the permissions of read-only keys and of keys that are limited to a project."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.control_process import API, PROJECT, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.http_response import HttpResponse

KEYS = "/fnkit/v1/keys"
OTHER_PROJECT = "33333333-3333-3333-3333-333333333333"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
QUEUE = {"scw_sqs_config": {"queue": "jobs"}}


@dataclass(frozen=True)
class KeyClient:
    """Sends requests with one API key."""

    control: ControlProcess
    secret: str

    def request(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> HttpResponse:
        return self.control.request(method, path, body, headers={"X-Auth-Token": self.secret}, query=query)

    def ids(self, kind: str, **query: object) -> set[str]:
        page = self.request("GET", f"{API}/{kind}", query=query).ok()
        found = page[kind]
        assert isinstance(found, list)
        assert page["total_count"] == len(found)
        return {str(one["id"]) for one in found}


def new_key(control: ControlProcess, **body: object) -> KeyClient:
    return KeyClient(control, str(control.request("POST", KEYS, body).ok()["secret_key"]))


def create_one_of_each(control: ControlProcess, project_id: str) -> dict[str, str]:
    """Create one resource of each kind in a project and return their ids by kind."""
    namespace = control.create_namespace(f"keys-{uuid.uuid4().hex[:6]}", project_id=project_id)
    function = control.create_function(namespace["id"])
    control.upload(function["id"], zip_archive())
    hostname = f"{uuid.uuid4().hex[:8]}.example.com"
    of_function = {"function_id": function["id"]}
    created = {
        "crons": control.request("POST", f"{API}/crons", {**of_function, "schedule": "0 0 * * *"}),
        "domains": control.request("POST", f"{API}/domains", {**of_function, "hostname": hostname}),
        "tokens": control.request("POST", f"{API}/tokens", of_function),
        "triggers": control.request("POST", f"{API}/triggers", {**of_function, "name": "jobs", **QUEUE}),
    }
    ids = {kind: str(response.ok()["id"]) for kind, response in created.items()}
    for kind, record_id in ids.items():
        control.wait_until_settled(kind, record_id)
    return {"namespaces": str(namespace["id"]), "functions": str(function["id"]), **ids}


@pytest.fixture(scope="module")
def own_ids(control: ControlProcess) -> dict[str, str]:
    return create_one_of_each(control, PROJECT)


@pytest.fixture(scope="module")
def foreign_ids(control: ControlProcess) -> dict[str, str]:
    return create_one_of_each(control, OTHER_PROJECT)


@pytest.fixture(scope="module")
def read_only_key(control: ControlProcess) -> KeyClient:
    return new_key(control, read_only=True)


@pytest.fixture(scope="module")
def project_key(control: ControlProcess) -> KeyClient:
    return new_key(control, project_id=PROJECT)


WRITES = [
    ("POST", "namespaces", "function_namespaces"),
    ("PATCH", "namespaces/{namespaces}", "function_namespaces"),
    ("DELETE", "namespaces/{namespaces}", "function_namespaces"),
    ("POST", "functions", "functions"),
    ("PATCH", "functions/{functions}", "functions"),
    ("DELETE", "functions/{functions}", "functions"),
    ("POST", "functions/{functions}/deploy", "functions"),
    ("GET", "functions/{functions}/upload-url?content_length=1", "functions"),
    ("POST", "crons", "function_crons"),
    ("PATCH", "crons/{crons}", "function_crons"),
    ("DELETE", "crons/{crons}", "function_crons"),
    ("POST", "domains", "function_domains"),
    ("DELETE", "domains/{domains}", "function_domains"),
    ("POST", "tokens", "function_tokens"),
    ("DELETE", "tokens/{tokens}", "function_tokens"),
    ("GET", "issue-jwt?function_id={functions}", "function_tokens"),
    ("POST", "triggers", "function_triggers"),
    ("PATCH", "triggers/{triggers}", "function_triggers"),
    ("DELETE", "triggers/{triggers}", "function_triggers"),
]


@pytest.mark.parametrize(("method", "path", "resource"), WRITES, ids=str)
def test_read_only_key_cannot_write(
    read_only_key: KeyClient, own_ids: dict[str, str], method: str, path: str, resource: str
) -> None:
    response = read_only_key.request(
        method, f"{API}/{path.format(**own_ids)}", None if method in ("GET", "DELETE") else {}
    )

    assert response.status == 403
    assert response.document == {
        "message": "insufficient permissions",
        "type": "permissions_denied",
        "details": [{"action": "write", "resource": resource}],
    }


def test_read_only_key_can_read_everything(
    read_only_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str]
) -> None:
    for kind, record_id in [*own_ids.items(), *foreign_ids.items()]:
        assert read_only_key.request("GET", f"{API}/{kind}/{record_id}").ok()["id"] == record_id
    assert read_only_key.request("GET", f"{API}/functions/{own_ids['functions']}/download-url").status == 200
    assert read_only_key.request("GET", f"{API}/runtimes").status == 200
    assert read_only_key.request("GET", "/fnkit/v1/platform").status == 200


def test_project_key_can_only_read_its_project(
    project_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str]
) -> None:
    for kind, record_id in own_ids.items():
        assert project_key.request("GET", f"{API}/{kind}/{record_id}").ok()["id"] == record_id
    for kind, record_id in foreign_ids.items():
        foreign, unknown = (project_key.request("GET", f"{API}/{kind}/{one}") for one in (record_id, UNKNOWN_ID))
        assert (foreign.status, unknown.status) == (404, 404)
        assert foreign.message == unknown.message.replace(UNKNOWN_ID, record_id)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "namespaces/{namespaces}"),
        ("DELETE", "namespaces/{namespaces}"),
        ("GET", "namespaces/{namespaces}/functions"),
        ("PATCH", "functions/{functions}"),
        ("DELETE", "functions/{functions}"),
        ("POST", "functions/{functions}/deploy"),
        ("GET", "functions/{functions}/upload-url?content_length=1"),
        ("GET", "functions/{functions}/download-url"),
        ("GET", "functions/{functions}/logs"),
        ("PATCH", "crons/{crons}"),
        ("DELETE", "crons/{crons}"),
        ("DELETE", "domains/{domains}"),
        ("DELETE", "tokens/{tokens}"),
        ("PATCH", "triggers/{triggers}"),
        ("DELETE", "triggers/{triggers}"),
        ("GET", "issue-jwt?function_id={functions}"),
        ("GET", "issue-jwt?namespace_id={namespaces}"),
    ],
)
def test_project_key_cannot_access_resources_of_other_projects(
    project_key: KeyClient, foreign_ids: dict[str, str], method: str, path: str
) -> None:
    body: object = None if method in ("GET", "DELETE") else {}
    response = project_key.request(method, f"{API}/{path.format(**foreign_ids)}", body)

    assert response.status == 404
    assert "was not found" in response.message or "does not exist" in response.message


def test_project_key_cannot_create_resources_in_other_projects(
    project_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str]
) -> None:
    foreign_function: dict[str, object] = {"function_id": foreign_ids["functions"]}
    attempts: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "functions", {"name": "f", "namespace_id": foreign_ids["namespaces"], "runtime": "python311"}),
        ("POST", "crons", {**foreign_function, "schedule": "0 0 * * *"}),
        ("PATCH", f"crons/{own_ids['crons']}", foreign_function),
        ("POST", "domains", {**foreign_function, "hostname": "a.example.com"}),
        ("POST", "tokens", foreign_function),
        ("POST", "tokens", {"namespace_id": foreign_ids["namespaces"].upper()}),
        ("POST", "triggers", {**foreign_function, "name": "jobs", **QUEUE}),
    ]
    for method, path, body in attempts:
        assert project_key.request(method, f"{API}/{path}", body).status == 404, path
    response = project_key.request("POST", f"{API}/namespaces", {"name": "n", "project_id": OTHER_PROJECT})
    assert (response.status, response.document["details"]) == (
        403,
        [{"action": "write", "resource": "function_namespaces"}],
    )


@pytest.mark.parametrize(
    "source",
    [
        {"scw_sqs_config": {"queue": "jobs", "mnq_project_id": OTHER_PROJECT}},
        {"scw_sqs_config": {"queue": "jobs", "mnq_project_id": OTHER_PROJECT.replace("3", "A")}},
        {"scw_nats_config": {"subject": "a", "mnq_nats_account_id": "A" * 56, "mnq_project_id": OTHER_PROJECT}},
    ],
    ids=["sqs", "sqs-unknown-project", "nats"],
)
def test_project_key_cannot_read_messages_of_other_projects(
    project_key: KeyClient, own_ids: dict[str, str], source: dict[str, object]
) -> None:
    body = {"function_id": own_ids["functions"], "name": "stolen", **source}
    response = project_key.request("POST", f"{API}/triggers", body)
    assert (response.status, response.document["details"]) == (
        403,
        [{"action": "write", "resource": "function_triggers"}],
    )


def test_project_key_can_read_messages_of_its_own_project(
    control: ControlProcess, project_key: KeyClient, own_ids: dict[str, str]
) -> None:
    queue = {"queue": "jobs", "mnq_project_id": PROJECT.upper()}
    body = {"function_id": own_ids["functions"], "name": "own", "scw_sqs_config": queue}
    created = project_key.request("POST", f"{API}/triggers", body).ok()
    control.wait_until_settled("triggers", str(created["id"]))
    project_key.request("DELETE", f"{API}/triggers/{created['id']}").ok()


@pytest.mark.parametrize("kind", ["namespaces", "functions", "crons", "domains", "tokens", "triggers"])
@pytest.mark.parametrize("project", ["", PROJECT, OTHER_PROJECT])
def test_project_key_lists_only_resources_of_its_project(
    project_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str], kind: str, project: str
) -> None:
    query = {"project_id": project} if project else {}
    if kind == "triggers" and not project:
        query = {"function_id": own_ids["functions"]}
    found = project_key.ids(kind, page_size=100, **query)

    assert foreign_ids[kind] not in found
    assert (own_ids[kind] in found) == (project != OTHER_PROJECT)


@pytest.mark.parametrize("kind", ["crons", "domains", "tokens", "triggers"])
def test_project_key_list_by_foreign_function_is_empty(
    project_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str], kind: str
) -> None:
    assert project_key.ids(kind, function_id=foreign_ids["functions"]) == set()
    assert project_key.ids(kind, function_id=own_ids["functions"]) == {own_ids[kind]}


def test_project_key_can_write_in_its_project(control: ControlProcess, project_key: KeyClient) -> None:
    body = {"name": f"keys-{uuid.uuid4().hex[:6]}", "project_id": PROJECT.upper()}
    namespace = project_key.request("POST", f"{API}/namespaces", body).ok()
    control.wait_until_settled("namespaces", namespace["id"])
    function = {"name": "f", "namespace_id": namespace["id"], "runtime": "python311"}
    created = project_key.request("POST", f"{API}/functions", function).ok()

    assert project_key.request("POST", f"{API}/tokens", {"function_id": created["id"]}).status == 200
    assert project_key.request("DELETE", f"{API}/namespaces/{namespace['id']}").status == 200


def test_key_management_needs_root_key_and_clock_needs_unrestricted_key(
    read_only_key: KeyClient, project_key: KeyClient
) -> None:
    for key in (read_only_key, project_key, new_key(project_key.control)):
        for method, path in (("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/SCWX")):
            assert key.request(method, path, {} if method == "POST" else None).status == 403
    for key, status in ((read_only_key, 403), (project_key, 403), (new_key(project_key.control), 200)):
        assert key.request("POST", "/fnkit/v1/clock", {"advance": 0}).status == status


def test_project_key_cannot_read_cron_history_of_other_projects(
    project_key: KeyClient, own_ids: dict[str, str], foreign_ids: dict[str, str]
) -> None:
    path = "/fnkit/v1/regions/fr-par/crons/{}/history"

    assert project_key.request("GET", path.format(own_ids["crons"])).status == 200
    assert project_key.request("GET", path.format(foreign_ids["crons"])).status == 404


def test_key_is_valid_until_it_is_deleted(control: ControlProcess) -> None:
    created = control.request("POST", KEYS, {"description": "for a colleague"}).ok()
    key = KeyClient(control, str(created["secret_key"]))
    page = control.request("GET", KEYS).ok()
    listed = page["keys"]
    assert isinstance(listed, list)

    assert key.request("GET", f"{API}/namespaces").status == 200
    assert {**created, "secret_key": None} in listed
    assert control.request("DELETE", f"{KEYS}/{created['access_key']}").ok() == {**created, "secret_key": None}
    assert key.request("GET", f"{API}/namespaces").status == 401
    assert control.request("DELETE", f"{KEYS}/{created['access_key']}").message == "API key was not found"


@pytest.mark.parametrize("body", [{"project_id": "x"}, {"read_only": "yes"}, [], {"description": "x" * 4097}])
def test_invalid_key_request_is_rejected(control: ControlProcess, body: object) -> None:
    assert control.request("POST", KEYS, body).status == 400


@pytest.mark.long
def test_keys_survive_kill_and_their_secrets_are_not_stored(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        created = control.request("POST", KEYS, {"project_id": PROJECT}).ok()
        control.kill()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert [grant.project_id for grant in peer.snapshot.credentials.keys] == [PROJECT]
        assert KeyClient(control, str(created["secret_key"])).request("GET", f"{API}/namespaces").status == 200
    file = tmp_path / "api-keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert not any(str(created["secret_key"]).encode() in one.read_bytes() for one in files)


def test_invalid_key_file_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "api-keys.json").write_text("[]]")
    with (
        pytest.raises(AssertionError, match="cannot be read as this platform's API keys"),
        running_control(tmp_path),
    ):
        pass


@pytest.fixture(scope="module", autouse=True)
def no_traceback_in_log(control: ControlProcess) -> Iterator[None]:
    yield
    assert "Traceback" not in control.log
