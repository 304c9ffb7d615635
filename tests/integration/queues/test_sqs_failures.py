"""SQS triggers when queues, keys or the service become unavailable, and when batches fail in part."""

from __future__ import annotations

import pytest

from tests.support.sqs_environment import SqsEnvironment
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long


def test_message_attributes_do_not_change_the_request(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    sqs.create_queue_trigger(queue)
    attributes = {
        "Content-Type": {"DataType": "String", "StringValue": "application/x-custom"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }

    sqs.client.send_message(QueueUrl=sqs.queue_url(queue), MessageBody="labelled", MessageAttributes=attributes)

    sqs.handlers.wait_for_count("labelled", 1)
    sqs.wait_until_empty(queue)
    headers = sqs.handlers.headers[-1]
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not {name.lower() for name in headers} & {"count", "raw"}


def test_polling_resumes_when_deleted_queue_is_recreated(sqs: SqsEnvironment) -> None:
    sqs.handlers.is_held = lambda body: body == "last"
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue, sqs.functions.deploy_function(max_scale=1))
    before = sqs.handlers.bodies.count("last")
    sqs.send(queue, "last")
    sqs.handlers.wait_for_count("last", before + 1)

    sqs.client.delete_queue(QueueUrl=sqs.queue_url(queue))
    sqs.handlers.release.set()
    failed = trigger.wait_for(lambda view: view["status"] == "error")
    assert "the queue does not exist" in failed["error_message"]
    sqs.client.create_queue(QueueName=queue)
    trigger.wait_for(lambda view: view["status"] == "ready")
    sqs.send(queue, "after")

    assert [one["body"] for one in trigger.wait_for_deliveries(2)] == ["after", "last"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # the proxy sends the responses
def test_keys_expiring_during_processing_neither_lose_nor_repeat_message(sqs: SqsEnvironment) -> None:
    sqs.handlers.is_held = lambda body: body == "expiring"
    queue = sqs.create_queue(VisibilityTimeout="3")
    trigger = sqs.create_queue_trigger(queue)
    before = sqs.handlers.bodies.count("expiring")
    sqs.send(queue, "expiring")
    sqs.handlers.wait_for_count("expiring", before + 1)

    sqs.proxy.responses["*"] = (403, "ExpiredToken", "The security token AKID1 is expired")
    sqs.handlers.release.set()
    failed = trigger.wait_for(lambda view: view["status"] == "error")
    assert "does not accept the keys: ExpiredToken: The security token … is expired" in failed["error_message"]
    del sqs.proxy.responses["*"]

    trigger.wait_for(lambda view: view["status"] == "ready")
    sqs.wait_until_empty(queue)
    (one,) = trigger.wait_for_deliveries(1)
    assert (one["attempts"], sqs.handlers.bodies.count("expiring")) == (1, before + 1)


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # the requests matter, not the server
def test_visibility_extension_continues_after_key_change(sqs: SqsEnvironment) -> None:
    sqs.handlers.is_held = lambda body: body == "rekeyed"
    queue = sqs.create_queue(VisibilityTimeout="3")
    trigger = sqs.create_queue_trigger(queue)
    sqs.send(queue, "rekeyed")
    sqs.handlers.wait_for_count("rekeyed", 1)

    sqs.functions.api.request(
        "PATCH",
        f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}",
        {"sqs_config": {"access_key": "AKID2", "secret_key": "s2"}},
    ).ok()
    wait_until(lambda: "AKID2" in sqs.proxy.access_keys)
    extensions = sqs.proxy.calls["ChangeMessageVisibilityBatch"]
    wait_until(lambda: sqs.proxy.calls["ChangeMessageVisibilityBatch"] >= extensions + 4)  # one per second
    sqs.handlers.release.set()

    sqs.wait_until_empty(queue)
    (one,) = trigger.wait_for_deliveries(1)
    assert (one["attempts"], sqs.handlers.bodies.count("rekeyed")) == (1, 1)


def test_failed_entries_of_visibility_batch_are_retried(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 500 if body.startswith("again") else 200
    queue = sqs.create_queue(VisibilityTimeout="30")
    trigger = sqs.create_queue_trigger(queue)
    start = len(sqs.handlers.received)

    sqs.send(queue, *(f"again{n}" for n in range(4)))
    for attempt in range(1, 5):
        for number in range(4):
            trigger.wait_for_attempts(f"again{number}", attempt)
        sqs.proxy.failing_entries["ChangeMessageVisibilityBatch"] = 3
        sqs.platform.advance(30)

    assert len(trigger.wait_for_deliveries(4, "dead")) == 4
    bodies = sqs.handlers.bodies[start:]
    assert {body: bodies.count(body) for body in set(bodies)} == {f"again{n}": 4 for n in range(4)}
    sqs.wait_until_empty(queue)


def test_fifo_group_continues_after_redrive_of_failing_message(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 500 if body == "g-failing" else 200
    dead_letters = sqs.create_queue(".fifo")
    names = ["QueueArn"]
    found = sqs.client.get_queue_attributes(QueueUrl=sqs.queue_url(dead_letters), AttributeNames=names)
    policy = f'{{"deadLetterTargetArn": "{found["Attributes"]["QueueArn"]}", "maxReceiveCount": 2}}'
    queue = sqs.create_queue(".fifo", VisibilityTimeout="3", RedrivePolicy=policy)
    start = len(sqs.handlers.received)
    for body in ("g-failing", "g-next", "h-other"):
        sqs.send(queue, body, MessageGroupId=body[0])
    trigger = sqs.create_queue_trigger(queue)

    sqs.handlers.wait_for_count("h-other", 1)
    for attempt in (1, 2):
        trigger.wait_for_attempts("g-failing", attempt)
        assert "g-next" not in sqs.handlers.bodies[start:]
        sqs.platform.advance(3)

    trigger.wait_for_deliveries(2)
    assert [body for body in sqs.handlers.bodies[start:] if body[0] == "g"] == ["g-failing"] * 2 + ["g-next"]
    wait_until(lambda: sqs.message_count(dead_letters) == 1)
    assert [one["status"] for one in trigger.deliveries() if one["body"] == "g-failing"] == ["failed"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # ten seconds per server
def test_trigger_recovers_after_service_restarts_without_queues(sqs: SqsEnvironment) -> None:
    with running_sqs(sqs.server.kind) as server:
        client = server.client()
        url = client.create_queue(QueueName="restarted")["QueueUrl"]
        config = {"endpoint": server.endpoint, "queue_url": url, "access_key": "A", "secret_key": "S"}
        trigger = sqs.create_trigger(sqs_config=config)
        client.send_message(QueueUrl=url, MessageBody="before restart")
        trigger.wait_for_deliveries(1)

        server.kill()
        failed = trigger.wait_for(lambda view: view["status"] == "error", 60)
        assert "cannot be reached" in failed["error_message"]
        server.start()
        failed = trigger.wait_for(lambda view: "queue does not exist" in str(view["error_message"]), 60)
        client.create_queue(QueueName="restarted")
        trigger.wait_for(lambda view: view["status"] == "ready", 60)
        client.send_message(QueueUrl=url, MessageBody="after restart")

        assert [one["body"] for one in trigger.wait_for_deliveries(2)] == ["after restart", "before restart"]


def test_endpoint_path_is_kept_in_requests(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue, endpoint=f"{sqs.proxy.url}/elastic/mq")

    sqs.send(queue, "under a path")

    trigger.wait_for_deliveries(1)
    assert sqs.proxy.paths == {"/elastic/mq"}
