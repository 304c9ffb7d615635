"""Namespaces over HTTP, as recorded."""

from __future__ import annotations

import re
import uuid

import pytest
from argon2 import PasswordHasher

from tests.support.control_process import API, PROJECT, ControlProcess

NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def create(control: ControlProcess, **fields: object) -> dict[str, object]:
    return control.request("POST", f"{API}/namespaces", {"project_id": PROJECT, **fields}).ok()


def test_a_new_namespace_is_pending_with_every_field_in_the_recorded_order(control: ControlProcess) -> None:
    created = create(control, name="recorded-order", secret_environment_variables=None, tags=None)

    assert list(created) == [
        *("id", "name", "environment_variables", "organization_id", "project_id", "status"),
        *("registry_namespace_id", "error_message", "registry_endpoint", "description"),
        *(
            "secret_environment_variables",
            "tags",
            "created_at",
            "updated_at",
            "vpc_integration_activated",
            "region",
        ),
    ]
    assert created["status"] == "pending"
    assert created["registry_endpoint"] == created["registry_namespace_id"] == created["description"] == ""
    assert created["error_message"] is None
    assert created["created_at"] == created["updated_at"]
    assert NANOSECONDS.fullmatch(str(created["created_at"]))


def test_a_namespace_becomes_ready_with_its_registry(control: ControlProcess) -> None:
    ready = control.create_namespace("TF func.objective-panini")

    assert ready["status"] == "ready"
    assert re.fullmatch(
        r"rg\.fr-par\.scw\.cloud/funcscwtffuncobjectivepanin[a-z0-9]{8}", str(ready["registry_endpoint"])
    )
    assert str(uuid.UUID(str(ready["registry_namespace_id"]))) == ready["registry_namespace_id"]
    assert MICROSECONDS.fullmatch(str(ready["created_at"]))


def test_a_name_is_taken_once_in_a_project_and_region(control: ControlProcess) -> None:
    create(control, name="taken")
    again = control.request("POST", f"{API}/namespaces", {"name": "taken", "project_id": PROJECT})
    elsewhere = control.request(
        "POST", "/functions/v1beta1/regions/nl-ams/namespaces", {"name": "taken", "project_id": PROJECT}
    )

    assert (again.status, again.document) == (409, {"message": "Namespace already exist"})
    assert elsewhere.ok()["region"] == "nl-ams"


def test_a_region_does_not_see_another_region_s_namespaces(control: ControlProcess) -> None:
    here = control.create_namespace("only-here")
    there = control.request("GET", f"/functions/v1beta1/regions/pl-waw/namespaces/{here['id']}")

    assert (there.status, there.document) == (404, {"message": "Namespace was not found"})


def test_variables_replace_and_secrets_merge(control: ControlProcess) -> None:
    namespace = control.create_namespace(
        "merging",
        environment_variables={"test": "test"},
        secret_environment_variables=[{"key": "kept", "value": "1"}, {"key": "gone", "value": "2"}],
    )
    patched = control.request(
        "PATCH",
        f"{API}/namespaces/{namespace['id']}",
        {
            "environment_variables": {"foo": "bar"},
            "secret_environment_variables": [{"key": "gone", "value": None}, {"key": "new", "value": "3"}],
        },
    ).ok()
    secrets = {one["key"]: one["hashed_value"] for one in _secrets(patched)}
    before = {one["key"]: one["hashed_value"] for one in _secrets(namespace)}

    assert patched["status"] == "pending"
    assert patched["environment_variables"] == {"foo": "bar"}
    assert secrets.keys() == {"kept", "new"}
    assert secrets["kept"] == before["kept"]
    assert PasswordHasher().verify(secrets["new"], "3")
    assert control.wait_until_settled("namespaces", namespace["id"])["status"] == "ready"


def test_a_description_alone_leaves_a_namespace_ready(control: ControlProcess) -> None:
    namespace = control.create_namespace("described")
    patched = control.request(
        "PATCH", f"{API}/namespaces/{namespace['id']}", {"description": "d", "tags": ["a"]}
    ).ok()

    assert (patched["status"], patched["description"], patched["tags"]) == ("ready", "d", ["a"])
    assert NANOSECONDS.fullmatch(str(patched["updated_at"]))
    assert MICROSECONDS.fullmatch(str(patched["created_at"]))


def test_a_secret_has_the_recorded_hash_parameters(control: ControlProcess) -> None:
    namespace = control.create_namespace("hashed", secret_environment_variables=[{"key": "k", "value": "value"}])
    form = r"\$argon2id\$v=19\$m=65536,t=1,p=2\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"

    assert re.fullmatch(form, _secrets(namespace)[0]["hashed_value"])


def test_deleting_a_namespace_takes_its_functions_and_crons_along(control: ControlProcess) -> None:
    namespace = control.create_namespace("doomed")
    function = control.create_function(namespace["id"])
    cron = control.request("POST", f"{API}/crons", {"function_id": function["id"], "schedule": "0 0 * * *"}).ok()
    deleted = control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()

    assert deleted["status"] == "deleting"
    for kind, one in (("namespaces", namespace), ("functions", function), ("crons", cron)):
        control.wait_until_deleted(kind, one["id"])
    again = control.request("DELETE", f"{API}/namespaces/{namespace['id']}")
    assert (again.status, again.document) == (404, {"message": "Namespace was not found"})


def test_lists_are_paged_filtered_and_ordered(control: ControlProcess) -> None:
    project = str(uuid.uuid4())
    for name in ("c", "a", "b"):
        control.request("POST", f"{API}/namespaces", {"name": name, "project_id": project}).ok()

    def listed(**query: object) -> list[object]:
        answer = control.request("GET", f"{API}/namespaces", query={"project_id": project, **query}).ok()
        assert answer["total_count"] == (1 if "name" in query else 3)
        namespaces = answer["namespaces"]
        assert isinstance(namespaces, list)
        return [one["name"] for one in namespaces]

    assert listed() == ["c", "a", "b"]
    assert listed(order_by="created_at_desc") == ["b", "a", "c"]
    assert listed(order_by="name_asc") == ["a", "b", "c"]
    assert listed(order_by="name_desc", page_size=2) == ["c", "b"]
    assert listed(order_by="name_desc", page_size=2, page=2) == ["a"]
    assert listed(page=9) == []
    assert listed(name="a") == ["a"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page_size": 101}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"page": -1}, "page"),
        ({"page": 10**30}, "page"),
        ({"order_by": "size"}, "order_by"),
    ],
)
def test_a_list_that_cannot_be_asked_for_names_the_field(
    control: ControlProcess, query: dict[str, object], field: str
) -> None:
    answer = control.request("GET", f"{API}/namespaces", query=query)

    assert answer.status == 400
    assert field in answer.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"project_id": PROJECT}, "name is required"),
        ({"name": "x"}, "project_id is required"),
        ({"name": "x", "project_id": "y"}, "project_id must be a UUID"),
        ({"name": 3, "project_id": PROJECT}, "name"),
        ({"name": "x" * 101, "project_id": PROJECT}, "'max' tag"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A": 1}}, "environment_variables"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A=B": ""}}, "environment_variables"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A": "x" * 1001}}, "1000 characters"),
        ({"name": "x", "project_id": PROJECT, "secret_environment_variables": [{"value": "v"}]}, "key"),
        ({"name": "x", "project_id": PROJECT, "tags": "a"}, "tags"),
    ],
)
def test_a_field_that_cannot_be_is_named(control: ControlProcess, body: dict[str, object], words: str) -> None:
    answer = control.request("POST", f"{API}/namespaces", body)

    assert answer.status == 400
    assert words in answer.message
    assert set(answer.document) == {"message"}


def _secrets(namespace: dict[str, object]) -> list[dict[str, str]]:
    secrets = namespace["secret_environment_variables"]
    assert isinstance(secrets, list)
    return secrets
