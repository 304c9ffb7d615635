"""Cron endpoints: behaviour recorded from the Scaleway API."""

from __future__ import annotations

import uuid

import pytest

from tests.support.control_process import API, ControlProcess
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> dict[str, object]:
    return control.create_function(control.create_namespace(f"crons-{uuid.uuid4().hex[:6]}")["id"])


def test_cron_can_be_created_for_undeployed_function(control: ControlProcess, function: dict[str, object]) -> None:
    args = {"nested": {"n": [1, 2.5, True, None]}}
    body = {"function_id": function["id"], "schedule": "*/5 * * * *", "args": args, "name": "five"}
    created = control.request("POST", f"{API}/crons", body).ok()

    assert list(created) == ["id", "function_id", "schedule", "args", "status", "name"]
    assert (created["status"], created["args"]) == ("pending", args)
    assert control.wait_until_settled("crons", created["id"])["status"] == "ready"


def test_patch_keeps_omitted_fields(control: ControlProcess, function: dict[str, object]) -> None:
    body = {"function_id": function["id"], "schedule": "0 0 * * *", "args": {"a": 1}}
    created = control.request("POST", f"{API}/crons", body).ok()
    patched = control.request("PATCH", f"{API}/crons/{created['id']}", {"schedule": "0 4 * * MON"}).ok()

    assert patched["name"] == created["name"]
    assert (patched["schedule"], patched["args"], patched["status"]) == ("0 4 * * MON", {"a": 1}, "pending")


@pytest.mark.parametrize("fields", [{}, {"name": None}, {"name": ""}], ids=["absent", "null", "empty"])
def test_cron_without_a_name_is_named_after_its_id(
    control: ControlProcess, function: dict[str, object], fields: dict[str, object]
) -> None:
    body = {"function_id": function["id"], "schedule": "0 0 * * *"}
    created = control.request("POST", f"{API}/crons", {**body, **fields}).ok()
    named = control.request("POST", f"{API}/crons", {**body, "name": "own"}).ok()
    patched = control.request("PATCH", f"{API}/crons/{named['id']}", fields).ok()

    assert created["name"] == f"cron-{created['id']}"
    assert control.wait_until_settled("crons", created["id"])["name"] == created["name"]
    assert patched["name"] == (f"cron-{named['id']}" if fields.get("name") == "" else "own")


def test_deleted_cron_is_not_found(control: ControlProcess, function: dict[str, object]) -> None:
    created = control.request("POST", f"{API}/crons", {"function_id": function["id"], "schedule": "0 0 * * *"}).ok()
    deleted = control.request("DELETE", f"{API}/crons/{created['id']}").ok()
    wait_until(lambda: control.is_deleted("crons", created["id"]))
    again = control.request("DELETE", f"{API}/crons/{created['id']}")

    assert deleted["status"] == "deleting"
    assert (again.status, again.document) == (404, {"message": "Cron was not found"})


def test_list_of_a_function_returns_only_its_crons(control: ControlProcess, function: dict[str, object]) -> None:
    other = control.create_function(function["namespace_id"], f"other-{uuid.uuid4().hex[:6]}")
    cron = control.request("POST", f"{API}/crons", {"function_id": other["id"], "schedule": "0 0 * * *"}).ok()
    listed = control.request("GET", f"{API}/crons", query={"function_id": other["id"]}).ok()

    assert [one["id"] for one in _crons(listed)] == [cron["id"]]
    assert listed["total_count"] == 1


def test_list_without_a_function_returns_the_crons_of_all_functions(control: ControlProcess) -> None:
    project = str(uuid.uuid4())
    namespace = control.create_namespace("crons", project_id=project)
    functions = [control.create_function(namespace["id"], name) for name in ("one", "two")]
    created = [
        control.request("POST", f"{API}/crons", {"function_id": function["id"], "schedule": "0 0 * * *"}).ok()["id"]
        for function in (*functions, *functions)
    ]
    pages = [
        control.request("GET", f"{API}/crons", query={"project_id": project, "page_size": 3, "page": page}).ok()
        for page in (1, 2)
    ]
    newest = control.request("GET", f"{API}/crons", query={"order_by": "created_at_desc", "page_size": 5}).ok()
    elsewhere = control.request("GET", f"{API.replace('fr-par', 'nl-ams')}/crons", query={"project_id": project})

    assert [one["id"] for page in pages for one in _crons(page)] == created
    assert [page["total_count"] for page in pages] == [4, 4]
    assert [one["id"] for one in _crons(newest)][:4] == created[::-1]
    assert elsewhere.ok() == {"crons": [], "total_count": 0}


def test_cron_moves_to_the_project_of_its_new_function(
    control: ControlProcess, function: dict[str, object]
) -> None:
    project = str(uuid.uuid4())
    other = control.create_function(control.create_namespace("moved", project_id=project)["id"])
    body = {"function_id": function["id"], "schedule": "0 0 * * *"}
    cron = control.request("POST", f"{API}/crons", body).ok()
    control.request("PATCH", f"{API}/crons/{cron['id']}", {"function_id": other["id"]}).ok()

    listed = control.request("GET", f"{API}/crons", query={"project_id": project}).ok()
    assert [one["id"] for one in _crons(listed)] == [cron["id"]]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"schedule": "every day"}, "schedule"),
        ({"schedule": "0 0 L * *"}, "schedule"),
        ({"schedule": ""}, "schedule is required"),
        ({"args": [1]}, "args"),
        ({"function_id": "x"}, "function_id"),
        ({"name": "x" * 5000}, "name"),
    ],
    ids=str,
)
def test_invalid_field_error_names_the_field(
    control: ControlProcess, function: dict[str, object], fields: dict[str, object], text: str
) -> None:
    body = {"function_id": function["id"], "schedule": "0 0 * * *", **fields}
    response = control.request("POST", f"{API}/crons", body)

    assert response.status == 400
    assert text in response.message


def _crons(listed: dict[str, object]) -> list[dict[str, object]]:
    crons = listed["crons"]
    assert isinstance(crons, list)
    return crons
