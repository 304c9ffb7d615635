"""Namespace endpoints: behaviour recorded from the Scaleway API."""

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


def test_new_namespace_is_pending_with_the_recorded_field_order(control: ControlProcess) -> None:
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


def test_namespace_becomes_ready_with_its_registry(control: ControlProcess) -> None:
    ready = control.create_namespace("TF func.objective-panini")

    assert ready["status"] == "ready"
    host = f"localhost:{control.settings.api_port}"
    assert re.fullmatch(rf"{host}/funcscwtffuncobjectivepanin[a-z0-9]{{8}}", str(ready["registry_endpoint"]))
    assert str(uuid.UUID(str(ready["registry_namespace_id"]))) == ready["registry_namespace_id"]
    assert MICROSECONDS.fullmatch(str(ready["created_at"]))


def test_name_is_unique_per_project_and_region(control: ControlProcess) -> None:
    create(control, name="duplicate")
    again = control.request("POST", f"{API}/namespaces", {"name": "duplicate", "project_id": PROJECT})
    other_region = control.request(
        "POST", "/functions/v1beta1/regions/nl-ams/namespaces", {"name": "duplicate", "project_id": PROJECT}
    )

    assert (again.status, again.document) == (409, {"message": "Namespace already exist"})
    assert other_region.ok()["region"] == "nl-ams"


def test_namespace_is_not_found_in_another_region(control: ControlProcess) -> None:
    namespace = control.create_namespace("only-here")
    response = control.request("GET", f"/functions/v1beta1/regions/pl-waw/namespaces/{namespace['id']}")

    assert (response.status, response.document) == (404, {"message": "Namespace was not found"})


def test_patch_replaces_variables_and_merges_secrets(control: ControlProcess) -> None:
    namespace = control.create_namespace(
        "merging",
        environment_variables={"test": "test"},
        secret_environment_variables=[{"key": "kept", "value": "1"}, {"key": "removed", "value": "2"}],
    )
    patched = control.request(
        "PATCH",
        f"{API}/namespaces/{namespace['id']}",
        {
            "environment_variables": {"foo": "bar"},
            "secret_environment_variables": [{"key": "removed", "value": None}, {"key": "new", "value": "3"}],
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


def test_description_and_tags_change_keeps_namespace_ready(control: ControlProcess) -> None:
    namespace = control.create_namespace("described")
    patched = control.request(
        "PATCH", f"{API}/namespaces/{namespace['id']}", {"description": "d", "tags": ["a"]}
    ).ok()

    assert (patched["status"], patched["description"], patched["tags"]) == ("ready", "d", ["a"])
    assert NANOSECONDS.fullmatch(str(patched["updated_at"]))
    assert MICROSECONDS.fullmatch(str(patched["created_at"]))


def test_secret_hash_has_the_recorded_parameters(control: ControlProcess) -> None:
    namespace = control.create_namespace("hashed", secret_environment_variables=[{"key": "k", "value": "value"}])
    form = r"\$argon2id\$v=19\$m=65536,t=1,p=2\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"

    assert re.fullmatch(form, _secrets(namespace)[0]["hashed_value"])


def test_namespace_deletion_deletes_its_functions_and_crons(control: ControlProcess) -> None:
    namespace = control.create_namespace("deleted")
    function = control.create_function(namespace["id"])
    cron = control.request("POST", f"{API}/crons", {"function_id": function["id"], "schedule": "0 0 * * *"}).ok()
    deleted = control.request("DELETE", f"{API}/namespaces/{namespace['id']}").ok()

    assert deleted["status"] == "deleting"
    for kind, one in (("namespaces", namespace), ("functions", function), ("crons", cron)):
        control.wait_until_deleted(kind, one["id"])
    again = control.request("DELETE", f"{API}/namespaces/{namespace['id']}")
    assert (again.status, again.document) == (404, {"message": "Namespace was not found"})


def test_list_is_paged_filtered_and_ordered(control: ControlProcess) -> None:
    project = str(uuid.uuid4())
    for name in ("c", "a", "b"):
        control.request("POST", f"{API}/namespaces", {"name": name, "project_id": project}).ok()

    def listed(**query: object) -> list[object]:
        response = control.request("GET", f"{API}/namespaces", query={"project_id": project, **query}).ok()
        assert response["total_count"] == (1 if "name" in query else 3)
        namespaces = response["namespaces"]
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
def test_invalid_list_parameter_error_names_the_parameter(
    control: ControlProcess, query: dict[str, object], field: str
) -> None:
    response = control.request("GET", f"{API}/namespaces", query=query)

    assert response.status == 400
    assert field in response.message


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"project_id": PROJECT}, "name is required"),
        ({"name": "x"}, "project_id is required"),
        ({"name": "x", "project_id": "y"}, "project_id must be a UUID"),
        ({"name": 3, "project_id": PROJECT}, "name"),
        ({"name": "x" * 101, "project_id": PROJECT}, "'max' tag"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A": 1}}, "environment_variables"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A=B": ""}}, "environment_variables"),
        ({"name": "x", "project_id": PROJECT, "environment_variables": {"A": "x" * 65537}}, "65536 characters"),
        ({"name": "x", "project_id": PROJECT, "secret_environment_variables": [{"value": "v"}]}, "key"),
        ({"name": "x", "project_id": PROJECT, "tags": "a"}, "tags"),
    ],
)
def test_invalid_field_error_names_the_field(control: ControlProcess, body: dict[str, object], text: str) -> None:
    response = control.request("POST", f"{API}/namespaces", body)

    assert response.status == 400
    assert text in response.message
    assert set(response.document) == {"message"}


def _secrets(namespace: dict[str, object]) -> list[dict[str, str]]:
    secrets = namespace["secret_environment_variables"]
    assert isinstance(secrets, list)
    return secrets
