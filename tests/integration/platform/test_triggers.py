"""Triggers over HTTP: the recorded form, one configuration, secrets that never come back."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest

from tests.support.control_process import API, PROJECT, ControlProcess, running_control

QUEUE = {"queue": "TestQueue", "mnq_project_id": PROJECT, "mnq_region": "fr-par"}
SUBJECT = {"subject": "orders.>", "mnq_nats_account_id": "A" * 56, "mnq_region": "nl-ams"}
ANYWHERE = {
    "endpoint": "https://sqs.example.com",
    "queue_url": "https://sqs.example.com/1/jobs",
    "access_key": "AKIA1",
    "secret_key": "correct horse battery",
}


@pytest.fixture(scope="module")
def function(control: ControlProcess) -> dict[str, object]:
    return control.create_function(control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")["id"])


def make(control: ControlProcess, function: dict[str, object], **fields: object) -> dict[str, object]:
    body = {"name": "jobs", "function_id": function["id"], **fields}
    return control.request("POST", f"{API}/triggers", body).ok()


def inner(trigger: dict[str, object], field: str) -> dict[str, object]:
    config = trigger[field]
    assert isinstance(config, dict)
    return config


def test_a_queue_s_trigger_is_creating_then_ready_with_its_credential(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = make(control, function, scw_sqs_config=QUEUE)

    assert list(created) == [
        *("id", "name", "description", "function_id", "input_type", "status", "error_message", "scw_sqs_config"),
    ]
    assert (created["input_type"], created["status"], created["description"]) == ("scw_sqs", "creating", "")
    assert created["scw_sqs_config"] == {**QUEUE, "mnq_credential_id": None}
    ready = control.wait_until_settled("triggers", created["id"])
    credential = inner(ready, "scw_sqs_config")["mnq_credential_id"]
    assert (ready["status"], str(uuid.UUID(str(credential)))) == ("ready", credential)
    assert inner(control.get("triggers", created["id"]), "scw_sqs_config")["mnq_credential_id"] == credential


def test_a_subject_s_trigger_takes_the_function_s_project(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = make(control, function, scw_nats_config=SUBJECT, description="d")

    assert (created["input_type"], created["description"]) == ("scw_nats", "d")
    assert created["scw_nats_config"] == {**SUBJECT, "mnq_project_id": PROJECT, "mnq_credential_id": None}
    assert control.wait_until_settled("triggers", created["id"])["status"] == "ready"


def test_the_region_that_is_not_given_is_the_function_s(
    control: ControlProcess, function: dict[str, object]
) -> None:
    created = make(control, function, scw_sqs_config={"queue": "q.fifo", "mnq_region": None})

    assert inner(created, "scw_sqs_config")["mnq_region"] == "fr-par"


def test_a_queue_anywhere_never_shows_its_secret_key(control: ControlProcess, function: dict[str, object]) -> None:
    created = make(control, function, sqs_config=ANYWHERE)
    shown = {**ANYWHERE, "secret_key": ""}

    assert (created["input_type"], created["sqs_config"]) == ("sqs", shown)
    assert control.wait_until_settled("triggers", created["id"])["sqs_config"] == shown
    body = {"sqs_config": {"secret_key": "another horse"}}
    patched = control.request("PATCH", f"{API}/triggers/{created['id']}", body).ok()
    assert (patched["status"], patched["sqs_config"]) == ("pending", shown)
    assert control.wait_until_settled("triggers", created["id"])["status"] == "ready"


def test_a_secret_key_lies_nowhere_in_clear(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        function = control.create_function(control.create_namespace()["id"])
        trigger = make(control, function, sqs_config=ANYWHERE)
        control.wait_until_settled("triggers", trigger["id"])
        control.request("PATCH", f"{API}/triggers/{trigger['id']}", {"sqs_config": {"secret_key": "other horse"}})
        control.wait_until_settled("triggers", trigger["id"])
        assert control.stop() == 0

    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"horse" not in file.read_bytes(), file
    with sqlite3.connect(tmp_path / "platform.db") as store:
        assert store.execute("SELECT COUNT(*) FROM triggers").fetchone() == (1,)
    store.close()


def test_a_patch_keeps_what_is_not_given(control: ControlProcess, function: dict[str, object]) -> None:
    created = make(control, function, scw_sqs_config=QUEUE, description="first")
    control.wait_until_settled("triggers", created["id"])
    path = f"{API}/triggers/{created['id']}"

    named = control.request("PATCH", path, {"name": "other", "description": None}).ok()
    assert (named["name"], named["description"], named["status"]) == ("other", "first", "ready")
    emptied = control.request("PATCH", path, {"description": ""}).ok()
    assert (emptied["name"], emptied["description"]) == ("other", "")
    assert control.get("triggers", created["id"]) == emptied


def test_a_deleted_trigger_has_two_different_texts(control: ControlProcess, function: dict[str, object]) -> None:
    created = make(control, function, scw_sqs_config=QUEUE)
    path = f"{API}/triggers/{created['id']}"
    deleted = control.request("DELETE", path).ok()
    control.wait_until_deleted("triggers", created["id"])

    assert deleted["status"] == "deleting"
    assert control.request("GET", path).document == {"message": "trigger does not exist"}
    for method in ("DELETE", "PATCH"):
        answer = control.request(method, path, {})
        text = f"trigger does not exist: could not find trigger with id {created['id']}"
        assert (answer.status, answer.document) == (404, {"message": text})


def test_lists_are_of_a_function_a_namespace_or_a_project(control: ControlProcess) -> None:
    namespace = control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")
    one, two = control.create_function(namespace["id"], "one"), control.create_function(namespace["id"], "two")
    made = [make(control, one, scw_sqs_config=QUEUE), make(control, two, scw_nats_config=SUBJECT)]

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


def test_triggers_go_with_their_function(control: ControlProcess) -> None:
    function = control.create_function(control.create_namespace(f"triggers-{uuid.uuid4().hex[:6]}")["id"])
    trigger = make(control, function, scw_sqs_config=QUEUE)
    control.request("DELETE", f"{API}/functions/{function['id']}").ok()
    control.wait_until_deleted("triggers", trigger["id"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of scw_sqs_config, scw_nats_config and sqs_config is required"),
        ({"scw_sqs_config": QUEUE, "scw_nats_config": SUBJECT}, "exactly one of"),
        ({"name": "x", "scw_sqs_config": QUEUE}, "name must consist of 2 to 100 letters, digits and dashes"),
        ({"name": "a_b", "scw_sqs_config": QUEUE}, "name must consist of"),
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
        ({"sqs_config": {**ANYWHERE, "secret_key": None}}, "sqs_config.secret_key is required"),
        ({"sqs_config": {**ANYWHERE, "endpoint": "sqs.example.com"}}, "sqs_config.endpoint must be an http"),
        ({"sqs_config": {**ANYWHERE, "queue_url": "https://a:99999/b"}}, "sqs_config.queue_url must be an http"),
        ({"sqs_config": {**ANYWHERE, "access_key": "a\nb"}}, "sqs_config.access_key must be"),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_is_named_and_no_secret_repeated(
    control: ControlProcess, function: dict[str, object], fields: dict[str, object], message: str
) -> None:
    body = {"name": "jobs", "function_id": function["id"], **fields}
    answer = control.request("POST", f"{API}/triggers", body)

    assert answer.status == 400
    assert message in answer.message
    assert "horse" not in answer.message


def test_other_kinds_of_triggers_have_no_keys(control: ControlProcess, function: dict[str, object]) -> None:
    created = make(control, function, scw_sqs_config=QUEUE)
    body = {"sqs_config": {"access_key": "a"}}
    answer = control.request("PATCH", f"{API}/triggers/{created['id']}", body)

    assert (answer.status, answer.message) == (400, "sqs_config cannot be given to a trigger of another kind")
    assert "scw_sqs_config" in control.get("triggers", created["id"])
