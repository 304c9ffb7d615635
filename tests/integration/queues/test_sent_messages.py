"""Test messages (``POST …/triggers/{id}/send``, ``fnkit trigger send``) go through the broker of the trigger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.project_tree import write_files
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform
from tests.support.sqs_environment import SqsEnvironment
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

SEND = "/fnkit/v1/regions/fr-par/triggers/{}/send"
HANDLERS = """
from fnkit import function, trigger


@trigger(nats="shop.*.created")
@function(memory=128)
def on_created(event, context):
    print("got", event["body"])
    return "ok"


@trigger(sqs="jobs")
@function(memory=128)
def on_job(event, context):
    return "ok"
"""


@pytest.fixture(scope="module")
def queues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    with queue_platform(tmp_path_factory.mktemp("sent")) as running:
        yield running


def test_message_on_a_subject_without_stream_is_delivered(queues: QueuePlatform) -> None:
    function = queues.deploy()
    trigger = queues.create_listening_trigger(function, "plain.created")
    sent = queues.api.request("POST", SEND.format(trigger), {"body": "hé"}).ok()
    assert sent == {"kind": "nats", "address": "plain.created", "stream": "", "message_id": ""}
    assert queues.wait_for_messages(function, 1) == ["hé"]


def test_message_is_stored_in_the_stream_that_covers_the_subject(queues: QueuePlatform) -> None:
    function = queues.deploy()

    async def add_stream() -> None:
        async with connected_client(queues.url) as (_, stream):
            await stream.add_stream(name="STORED", subjects=["stored.>"])

    asyncio.run(add_stream())
    trigger = queues.create_listening_trigger(function, "stored.*.created")
    request = {"body": "AP8=", "is_base64": True, "subject": "stored.order.created"}
    sent = queues.api.request("POST", SEND.format(trigger), request).ok()
    assert sent == {"kind": "nats", "address": "stored.order.created", "stream": "STORED", "message_id": "1"}
    queues.wait_for_messages(function, 1)
    assert queues.calls(function)[0].event["body"] == "\x00�"


@pytest.mark.parametrize(
    ("request_body", "status", "message"),
    [
        ({"body": "x"}, 400, "subject is required"),
        ({"body": "x", "subject": "other.a.created"}, 400, "not covered"),
        ({"body": "x", "subject": "wild.*.created"}, 400, "not a subject to publish on"),
        ({"body": "x", "subject": "wild..created"}, 400, "not a subject to publish on"),
        ({"body": "?", "is_base64": True, "subject": "wild.a.created"}, 400, "body is not base64"),
    ],
)
def test_invalid_message_is_refused(
    queues: QueuePlatform, request_body: dict[str, object], status: int, message: str
) -> None:
    trigger = queues.create_trigger(queues.create_function(), "wild.*.created")
    answer = queues.api.request("POST", SEND.format(trigger), request_body)
    assert answer.status == status
    assert message in answer.body.decode()


def test_unknown_trigger_is_not_found(queues: QueuePlatform) -> None:
    answer = queues.api.request("POST", SEND.format("11111111-2222-4333-8444-555555555555"), {"body": "x"})
    assert answer.status == 404


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_message_is_sent_to_the_queue_and_delivered(sqs: SqsEnvironment, suffix: str) -> None:
    trigger = sqs.create_queue_trigger(sqs.create_queue(suffix))
    sent = trigger.api.request("POST", SEND.format(trigger.id), {"body": "käse"}).ok()
    assert (sent["kind"], bool(sent["message_id"])) == ("sqs", True)
    (one,) = trigger.wait_for_deliveries(1)
    assert one["body"] == "käse"
    refused = trigger.api.request("POST", SEND.format(trigger.id), {"body": "/w==", "is_base64": True})
    assert (refused.status, b"UTF-8" in refused.body) == (400, True)
    refused = trigger.api.request("POST", SEND.format(trigger.id), {"body": "x", "subject": "a"})
    assert refused.status == 400


def test_queue_that_does_not_exist_is_named(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue)
    sqs.client.delete_queue(QueueUrl=sqs.queue_url(queue))
    refused = trigger.api.request("POST", SEND.format(trigger.id), {"body": "x"})
    assert (refused.status, b"does not exist" in refused.body) == (502, True)


def test_command_sends_a_message_and_names_the_delivery(queues: QueuePlatform, tmp_path: Path) -> None:
    project = write_files(tmp_path, {"fnkit.toml": 'name = "sent"\n', "handlers.py": HANDLERS})
    fnkit = Command({"FNKIT_HOME": str(queues.home)})
    fnkit("deploy", "--local", cwd=project).ok()
    triggers = fnkit("trigger", "list", "--local", "--json", cwd=project).ok().json()["triggers"]
    (name,) = [f"{one['function']}/{one['name']}" for one in triggers if one["kind"] == "nats"]
    wait_until(
        lambda: "listening" in fnkit("trigger", "list", "--local", "--json", cwd=project).stdout,
        what="the trigger listens",
    )
    arguments = ("trigger", "send", "on-created", "-", "--subject", "shop.order.created", "--local")
    sent = fnkit(*arguments, cwd=project, stdin="from stdin").ok()
    assert sent.stdout == "Sent to NATS subject shop.order.created.\n"
    follow_up = sent.stderr.strip()
    assert follow_up == f"Its delivery: `fnkit trigger deliveries {name} --limit 1 --local`"
    command = follow_up.removeprefix("Its delivery: `fnkit ").removesuffix("`").split()
    wait_until(lambda: "succeeded" in fnkit(*command, cwd=project).ok().stdout, what="the delivery succeeded")
    assert "got from stdin" in fnkit("logs", "on-created", "--local", cwd=project).ok().stdout

    brokers = queues.home / "brokers.toml"
    brokers.touch(0o600)
    entry = 'region = "nl-ams"\nendpoint = "http://127.0.0.1:1"\naccess_key = "a"\nsecret_key = "b"\n'
    brokers.write_text(f"[[sqs]]\n{entry}")
    wait_until(lambda: "Brokers: 0 NATS, 1 SQS" in queues.log, what="the file is read")
    idle = fnkit("trigger", "send", "on-job", "x", "--local", cwd=project)
    assert idle.code == 1
    assert "the trigger is idle: no [[sqs]] entry" in idle.stderr
