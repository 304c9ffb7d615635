"""Further API keys: what a read-only key and one that is bound to a project may do, see and touch."""

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
THEIRS = "33333333-3333-3333-3333-333333333333"
NOBODY = "00000000-0000-4000-8000-000000000000"
QUEUE = {"scw_sqs_config": {"queue": "jobs"}}


@dataclass(frozen=True)
class Holder:
    """Somebody with a key."""

    control: ControlProcess
    secret: str

    def ask(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> HttpResponse:
        return self.control.request(method, path, body, headers={"X-Auth-Token": self.secret}, query=query)

    def ids(self, kind: str, **query: object) -> set[str]:
        page = self.ask("GET", f"{API}/{kind}", query=query).ok()
        found = page[kind]
        assert isinstance(found, list)
        assert page["total_count"] == len(found)
        return {str(one["id"]) for one in found}


def holder(control: ControlProcess, **body: object) -> Holder:
    return Holder(control, str(control.request("POST", KEYS, body).ok()["secret_key"]))


def everything(control: ControlProcess, project_id: str) -> dict[str, str]:
    """One of each kind in a project."""
    namespace = control.create_namespace(f"keys-{uuid.uuid4().hex[:6]}", project_id=project_id)
    function = control.create_function(namespace["id"])
    control.upload(function["id"], zip_archive())
    hostname = f"{uuid.uuid4().hex[:8]}.example.com"
    of_function = {"function_id": function["id"]}
    made = {
        "crons": control.request("POST", f"{API}/crons", {**of_function, "schedule": "0 0 * * *"}),
        "domains": control.request("POST", f"{API}/domains", {**of_function, "hostname": hostname}),
        "tokens": control.request("POST", f"{API}/tokens", of_function),
        "triggers": control.request("POST", f"{API}/triggers", {**of_function, "name": "jobs", **QUEUE}),
    }
    ids = {kind: str(answer.ok()["id"]) for kind, answer in made.items()}
    for kind, record_id in ids.items():
        control.wait_until_settled(kind, record_id)
    return {"namespaces": str(namespace["id"]), "functions": str(function["id"]), **ids}


@pytest.fixture(scope="module")
def ours(control: ControlProcess) -> dict[str, str]:
    return everything(control, PROJECT)


@pytest.fixture(scope="module")
def theirs(control: ControlProcess) -> dict[str, str]:
    return everything(control, THEIRS)


@pytest.fixture(scope="module")
def reader(control: ControlProcess) -> Holder:
    return holder(control, read_only=True)


@pytest.fixture(scope="module")
def bound(control: ControlProcess) -> Holder:
    return holder(control, project_id=PROJECT)


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
def test_a_read_only_key_changes_nothing(
    reader: Holder, ours: dict[str, str], method: str, path: str, resource: str
) -> None:
    answer = reader.ask(method, f"{API}/{path.format(**ours)}", None if method in ("GET", "DELETE") else {})

    assert answer.status == 403
    assert answer.document == {
        "message": "insufficient permissions",
        "type": "permissions_denied",
        "details": [{"action": "write", "resource": resource}],
    }


def test_a_read_only_key_reads_everything(reader: Holder, ours: dict[str, str], theirs: dict[str, str]) -> None:
    for kind, record_id in [*ours.items(), *theirs.items()]:
        assert reader.ask("GET", f"{API}/{kind}/{record_id}").ok()["id"] == record_id
    assert reader.ask("GET", f"{API}/functions/{ours['functions']}/download-url").status == 200
    assert reader.ask("GET", f"{API}/runtimes").status == 200
    assert reader.ask("GET", "/fnkit/v1/platform").status == 200


def test_a_bound_key_sees_its_project_and_nothing_else(
    bound: Holder, ours: dict[str, str], theirs: dict[str, str]
) -> None:
    for kind, record_id in ours.items():
        assert bound.ask("GET", f"{API}/{kind}/{record_id}").ok()["id"] == record_id
    for kind, record_id in theirs.items():
        found, nothing = (bound.ask("GET", f"{API}/{kind}/{one}") for one in (record_id, NOBODY))
        assert (found.status, nothing.status) == (404, 404)
        assert found.message == nothing.message.replace(NOBODY, record_id)


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
def test_a_bound_key_touches_nothing_of_others(
    bound: Holder, theirs: dict[str, str], method: str, path: str
) -> None:
    body: object = None if method in ("GET", "DELETE") else {}
    answer = bound.ask(method, f"{API}/{path.format(**theirs)}", body)

    assert answer.status == 404
    assert "was not found" in answer.message or "does not exist" in answer.message


def test_a_bound_key_makes_nothing_for_others(bound: Holder, ours: dict[str, str], theirs: dict[str, str]) -> None:
    foreign: dict[str, object] = {"function_id": theirs["functions"]}
    attempts: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "functions", {"name": "f", "namespace_id": theirs["namespaces"], "runtime": "python311"}),
        ("POST", "crons", {**foreign, "schedule": "0 0 * * *"}),
        ("PATCH", f"crons/{ours['crons']}", foreign),
        ("POST", "domains", {**foreign, "hostname": "a.example.com"}),
        ("POST", "tokens", foreign),
        ("POST", "tokens", {"namespace_id": theirs["namespaces"].upper()}),
        ("POST", "triggers", {**foreign, "name": "jobs", **QUEUE}),
    ]
    for method, path, body in attempts:
        assert bound.ask(method, f"{API}/{path}", body).status == 404, path
    answer = bound.ask("POST", f"{API}/namespaces", {"name": "n", "project_id": THEIRS})
    assert (answer.status, answer.document["details"]) == (
        403,
        [{"action": "write", "resource": "function_namespaces"}],
    )


@pytest.mark.parametrize("kind", ["namespaces", "functions", "tokens", "triggers"])
@pytest.mark.parametrize("project", ["", PROJECT, THEIRS])
def test_a_bound_keys_lists_hold_its_projects_things_alone(
    bound: Holder, ours: dict[str, str], theirs: dict[str, str], kind: str, project: str
) -> None:
    query = {"project_id": project} if project else {}
    if kind == "triggers" and not project:
        query = {"function_id": ours["functions"]}
    found = bound.ids(kind, page_size=100, **query)

    assert theirs[kind] not in found
    assert (ours[kind] in found) == (project != THEIRS)


@pytest.mark.parametrize("kind", ["crons", "domains", "tokens", "triggers"])
def test_a_bound_keys_lists_by_function_are_empty_for_others(
    bound: Holder, ours: dict[str, str], theirs: dict[str, str], kind: str
) -> None:
    assert bound.ids(kind, function_id=theirs["functions"]) == set()
    assert bound.ids(kind, function_id=ours["functions"]) == {ours[kind]}


def test_a_bound_key_works_in_its_project(control: ControlProcess, bound: Holder) -> None:
    body = {"name": f"keys-{uuid.uuid4().hex[:6]}", "project_id": PROJECT.upper()}
    namespace = bound.ask("POST", f"{API}/namespaces", body).ok()
    control.wait_until_settled("namespaces", namespace["id"])
    function = {"name": "f", "namespace_id": namespace["id"], "runtime": "python311"}
    made = bound.ask("POST", f"{API}/functions", function).ok()

    assert bound.ask("POST", f"{API}/tokens", {"function_id": made["id"]}).status == 200
    assert bound.ask("DELETE", f"{API}/namespaces/{namespace['id']}").status == 200


def test_keys_and_the_clock_are_for_the_platforms_own_key(reader: Holder, bound: Holder) -> None:
    for key in (reader, bound, holder(bound.control)):
        for method, path in (("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/SCWX")):
            assert key.ask(method, path, {} if method == "POST" else None).status == 403
    for key, status in ((reader, 403), (bound, 403), (holder(bound.control), 200)):
        assert key.ask("POST", "/fnkit/v1/clock", {"advance": 0}).status == status


def test_a_cron_of_others_has_no_history(bound: Holder, ours: dict[str, str], theirs: dict[str, str]) -> None:
    path = "/fnkit/v1/regions/fr-par/crons/{}/history"

    assert bound.ask("GET", path.format(ours["crons"])).status == 200
    assert bound.ask("GET", path.format(theirs["crons"])).status == 404


def test_a_key_works_until_it_is_deleted(control: ControlProcess) -> None:
    made = control.request("POST", KEYS, {"description": "for a colleague"}).ok()
    key = Holder(control, str(made["secret_key"]))
    page = control.request("GET", KEYS).ok()
    shown = page["keys"]
    assert isinstance(shown, list)

    assert key.ask("GET", f"{API}/namespaces").status == 200
    assert {**made, "secret_key": None} in shown
    assert control.request("DELETE", f"{KEYS}/{made['access_key']}").ok() == {**made, "secret_key": None}
    assert key.ask("GET", f"{API}/namespaces").status == 401
    assert control.request("DELETE", f"{KEYS}/{made['access_key']}").message == "API key was not found"


@pytest.mark.parametrize("body", [{"project_id": "x"}, {"read_only": "yes"}, [], {"description": "x" * 4097}])
def test_a_key_that_cannot_be_is_refused(control: ControlProcess, body: object) -> None:
    assert control.request("POST", KEYS, body).status == 400


def test_keys_survive_kill_9_and_their_secrets_are_kept_nowhere(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        made = control.request("POST", KEYS, {"project_id": PROJECT}).ok()
        control.kill()
        control.start()
        with connected_data_plane(control.settings.control_socket) as peer:
            assert [grant.project_id for grant in peer.snapshot.credentials.keys] == [PROJECT]
        assert Holder(control, str(made["secret_key"])).ask("GET", f"{API}/namespaces").status == 200
    file = tmp_path / "api-keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert not any(str(made["secret_key"]).encode() in one.read_bytes() for one in kept)


def test_a_file_that_is_none_of_ours_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "api-keys.json").write_text("[]]")
    with (
        pytest.raises(AssertionError, match="cannot be read as this platform's API keys"),
        running_control(tmp_path),
    ):
        pass


@pytest.fixture(scope="module", autouse=True)
def nothing_went_wrong(control: ControlProcess) -> Iterator[None]:
    yield
    assert "Traceback" not in control.log
