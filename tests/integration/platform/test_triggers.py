"""Trigger endpoints: behaviour recorded from the Scaleway API, validation, and secrets that are never returned."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest

from tests.support.control_process import API, PROJECT, ControlProcess, running_control

QUEUE = {"queue": "TestQueue", "mnq_project_id": PROJECT, "mnq_region": "fr-par"}
SUBJECT = {"subject": "orders.>", "mnq_nats_account_id": "A" * 56, "mnq_region": "nl-ams"}
EXTERNAL_SQS = {
    "endpoint": "https://sqs.example.com",
    "queue_url": "https://sqs.example.com/1/jobs",
    "access_key": "AKIA1",
    "secret_key": "correct horse battery",
}


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> dict[str, object]:
    return control.create_function(control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")["id"])


def create_trigger(control: ControlProcess, function: dict[str, object], **fields: object) -> dict[str, object]:
    body = {"name": "jobs", "function_id": function["id"], **fields}
    return control.request("POST", f"{API}/triggers", body).ok()


def broker_config(trigger: dict[str, object], field: str) -> dict[str, object]:
    config = trigger[field]
    assert isinstance(config, dict)
    return config


def test_scaleway_sqs_trigger_becomes_ready_with_a_credential(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create_trigger(control, function, scw_sqs_config=QUEUE)

    assert list(created) == [
        *("id", "name", "description", "function_id", "input_type", "status", "error_message", "scw_sqs_config"),
    ]
    assert (created["input_type"], created["status"], created["description"]) == ("scw_sqs", "creating", "")
    assert created["scw_sqs_config"] == {**QUEUE, "mnq_credential_id": None}
    ready = control.wait_until_settled("triggers", created["id"])
    credential = broker_config(ready, "scw_sqs_config")["mnq_credential_id"]
    assert (ready["status"], str(uuid.UUID(str(credential)))) == ("ready", credential)
    assert (
        broker_config(control.get("triggers", created["id"]), "scw_sqs_config")["mnq_credential_id"] == credential
    )


def test_nats_trigger_defaults_to_the_project_of_its_function(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create_trigger(control, function, scw_nats_config=SUBJECT, description="d")

    assert (created["input_type"], created["description"]) == ("scw_nats", "d")
    assert created["scw_nats_config"] == {**SUBJECT, "mnq_project_id": PROJECT, "mnq_credential_id": None}
    assert control.wait_until_settled("triggers", created["id"])["status"] == "ready"


def test_omitted_region_defaults_to_the_region_of_the_function(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create_trigger(control, function, scw_sqs_config={"queue": "q.fifo", "mnq_region": None})

    assert broker_config(created, "scw_sqs_config")["mnq_region"] == "fr-par"


def test_external_sqs_trigger_never_shows_its_secret_key(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create_trigger(control, function, sqs_config=EXTERNAL_SQS)
    redacted = {**EXTERNAL_SQS, "secret_key": ""}

    assert (created["input_type"], created["sqs_config"]) == ("sqs", redacted)
    assert control.wait_until_settled("triggers", created["id"])["sqs_config"] == redacted
    body = {"sqs_config": {"secret_key": "another horse"}}
    patched = control.request("PATCH", f"{API}/triggers/{created['id']}", body).ok()
    assert (patched["status"], patched["sqs_config"]) == ("pending", redacted)
    assert control.wait_until_settled("triggers", created["id"])["status"] == "ready"


def test_secret_key_is_not_stored_in_plaintext(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        trigger = create_trigger(control, function, sqs_config=EXTERNAL_SQS)
        control.wait_until_settled("triggers", trigger["id"])
        control.request("PATCH", f"{API}/triggers/{trigger['id']}", {"sqs_config": {"secret_key": "other horse"}})
        control.wait_until_settled("triggers", trigger["id"])
        assert control.stop() == 0

    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"horse" not in file.read_bytes(), file
    with sqlite3.connect(tmp_path / "platform.db") as store:
        assert store.execute("SELECT COUNT(*) FROM triggers").fetchone() == (1,)
    store.close()


def test_patch_keeps_omitted_fields(control: ControlProcess, function: dict[str, object]) -> None:
    created = create_trigger(control, function, scw_sqs_config=QUEUE, description="first")
    control.wait_until_settled("triggers", created["id"])
    path = f"{API}/triggers/{created['id']}"

    renamed = control.request("PATCH", path, {"name": "other", "description": None}).ok()
    assert (renamed["name"], renamed["description"], renamed["status"]) == ("other", "first", "ready")
    emptied = control.request("PATCH", path, {"description": ""}).ok()
    assert (emptied["name"], emptied["description"]) == ("other", "")
    assert control.get("triggers", created["id"]) == emptied


def test_deleted_trigger_gives_the_recorded_errors(control: ControlProcess, function: dict[str, object]) -> None:
    created = create_trigger(control, function, scw_sqs_config=QUEUE)
    path = f"{API}/triggers/{created['id']}"
    deleted = control.request("DELETE", path).ok()
    control.wait_until_deleted("triggers", created["id"])

    assert deleted["status"] == "deleting"
    assert control.request("GET", path).document == {"message": "trigger does not exist"}
    for method in ("DELETE", "PATCH"):
        response = control.request(method, path, {})
        text = f"trigger does not exist: could not find trigger with id {created['id']}"
        assert (response.status, response.document) == (404, {"message": text})


def test_list_filters_by_function_namespace_or_project(control: ControlProcess) -> None:
    namespace = control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")
    one, two = control.create_function(namespace["id"], "one"), control.create_function(namespace["id"], "two")
    made = [
        create_trigger(control, one, scw_sqs_config=QUEUE),
        create_trigger(control, two, scw_nats_config=SUBJECT),
    ]

    def listed(**query: object) -> list[object]:
        found = control.request("GET", f"{API}/triggers", query=query).ok()
        triggers = found["triggers"]
        assert isinstance(triggers, list)
        assert query.get("page_size") or found["total_count"] == len(triggers)
        return [trigger["id"] for trigger in triggers]

    assert listed(function_id=one["id"]) == [made[0]["id"]]
    assert listed(namespace_id=namespace["id"]) == [made[0]["id"], made[1]["id"]]
    assert listed(namespace_id=namespace["id"], order_by="created_at_desc", page_size=1) == [made[1]["id"]]
    assert set(listed(project_id=PROJECT, page_size=100)) >= {made[0]["id"], made[1]["id"]}
    assert listed(project_id=str(uuid.uuid4())) == []


def test_triggers_are_deleted_with_their_function(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")["id"])
    trigger = create_trigger(control, function, scw_sqs_config=QUEUE)
    control.request("DELETE", f"{API}/functions/{function['id']}").ok()
    control.wait_until_deleted("triggers", trigger["id"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of scw_sqs_config, scw_nats_config and sqs_config is required"),
        ({"scw_sqs_config": QUEUE, "scw_nats_config": SUBJECT}, "exactly one of"),
        ({"name": "x" * 51, "scw_sqs_config": QUEUE}, "name must be at most 50 characters long"),
        ({"name": "", "scw_sqs_config": QUEUE}, "name is required"),
        ({"name": None, "scw_sqs_config": QUEUE}, "name is required"),
        ({"function_id": "x", "scw_sqs_config": QUEUE}, "function_id must be a UUID"),
        ({"description": "x" * 5000, "scw_sqs_config": QUEUE}, "description must be at most"),
        ({"scw_sqs_config": {}}, "scw_sqs_config.queue is required"),
        ({"scw_sqs_config": {**QUEUE, "queue": "https://a/b"}}, "scw_sqs_config.queue must be the name"),
        ({"scw_sqs_config": {**QUEUE, "mnq_region": "us-east"}}, "scw_sqs_config.mnq_region must be one of"),
        ({"scw_sqs_config": {**QUEUE, "mnq_project_id": "x"}}, "scw_sqs_config.mnq_project_id must be a UUID"),
        ({"scw_sqs_config": {**QUEUE, "queue": 1}}, "invalid value for scw_sqs_config.queue"),
        ({"scw_nats_config": {**SUBJECT, "subject": "a..b"}}, "scw_nats_config.subject must be a NATS subject"),
        ({"scw_nats_config": {**SUBJECT, "mnq_nats_account_id": None}}, "mnq_nats_account_id is required"),
        ({"scw_nats_config": {**SUBJECT, "mnq_nats_account_id": "a"}}, "mnq_nats_account_id must be 56"),
        ({"sqs_config": {**EXTERNAL_SQS, "secret_key": None}}, "sqs_config.secret_key is required"),
        ({"sqs_config": {**EXTERNAL_SQS, "endpoint": "sqs.example.com"}}, "sqs_config.endpoint must be an http"),
        (
            {"sqs_config": {**EXTERNAL_SQS, "queue_url": "https://a:99999/b"}},
            "sqs_config.queue_url must be an http",
        ),
        ({"sqs_config": {**EXTERNAL_SQS, "access_key": "a\nb"}}, "sqs_config.access_key must be"),
    ],
    ids=str,
)
def test_invalid_field_error_names_the_field_and_repeats_no_secret(
    control: ControlProcess, function: dict[str, object], fields: dict[str, object], message: str
) -> None:
    body = {"name": "jobs", "function_id": function["id"], **fields}
    response = control.request("POST", f"{API}/triggers", body)

    assert response.status == 400
    assert message in response.message
    assert "horse" not in response.message


def test_sqs_config_is_rejected_for_another_kind_of_trigger(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = create_trigger(control, function, scw_sqs_config=QUEUE)
    body = {"sqs_config": {"access_key": "a"}}
    response = control.request("PATCH", f"{API}/triggers/{created['id']}", body)

    assert (response.status, response.message) == (400, "sqs_config cannot be given to a trigger of another kind")
    assert "scw_sqs_config" in control.get("triggers", created["id"])
