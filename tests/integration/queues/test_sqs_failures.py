"""SQS triggers when queues, keys or the service become unavailable, and when batches fail in part."""

from __future__ import annotations

import pytest

from tests.support.sqs_servers import running_sqs
from tests.support.sqs_stage import Stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long


def test_message_attributes_do_not_change_the_request(stage: Stage) -> None:
    queue = stage.queue()
    stage.listen(queue)
    attributes = {
        "Content-Type": {"DataType": "String", "StringValue": "application/x-custom"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }

    stage.client.send_message(QueueUrl=stage.url(queue), MessageBody="labelled", MessageAttributes=attributes)

    stage.recorder.times("labelled", 1)
    stage.empty(queue)
    headers = stage.recorder.headers[-1]
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not {name.lower() for name in headers} & {"count", "raw"}


def test_polling_resumes_when_deleted_queue_is_recreated(stage: Stage) -> None:
    stage.recorder.holds = lambda body: body == "last"
    queue = stage.queue()
    trigger = stage.listen(queue, stage.functions.function(max_scale=1))
    before = stage.recorder.bodies.count("last")
    stage.send(queue, "last")
    stage.recorder.times("last", before + 1)

    stage.client.delete_queue(QueueUrl=stage.url(queue))
    stage.recorder.release.set()
    failed = trigger.until(lambda view: view["status"] == "error")
    assert "the queue does not exist" in failed["error_message"]
    stage.client.create_queue(QueueName=queue)
    trigger.until(lambda view: view["status"] == "ready")
    stage.send(queue, "after")

    assert [one["body"] for one in trigger.delivered(2)] == ["after", "last"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # the proxy sends the responses
def test_keys_expiring_during_processing_neither_lose_nor_repeat_message(stage: Stage) -> None:
    stage.recorder.holds = lambda body: body == "expiring"
    queue = stage.queue(VisibilityTimeout="3")
    trigger = stage.listen(queue)
    before = stage.recorder.bodies.count("expiring")
    stage.send(queue, "expiring")
    stage.recorder.times("expiring", before + 1)

    stage.proxy.statuses["*"] = (403, "ExpiredToken", "The security token AKID1 is expired")
    stage.recorder.release.set()
    failed = trigger.until(lambda view: view["status"] == "error")
    assert "does not accept the keys: ExpiredToken: The security token … is expired" in failed["error_message"]
    del stage.proxy.statuses["*"]

    trigger.until(lambda view: view["status"] == "ready")
    stage.empty(queue)
    (one,) = trigger.delivered(1)
    assert (one["attempts"], stage.recorder.bodies.count("expiring")) == (1, before + 1)


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # the requests matter, not the server
def test_visibility_extension_continues_after_key_change(stage: Stage) -> None:
    stage.recorder.holds = lambda body: body == "rekeyed"
    queue = stage.queue(VisibilityTimeout="3")
    trigger = stage.listen(queue)
    stage.send(queue, "rekeyed")
    stage.recorder.times("rekeyed", 1)

    stage.functions.api.request(
        "PATCH",
        f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}",
        {"sqs_config": {"access_key": "AKID2", "secret_key": "s2"}},
    ).ok()
    wait_until(lambda: "AKID2" in stage.proxy.keys)
    extensions = stage.proxy.calls["ChangeMessageVisibilityBatch"]
    wait_until(lambda: stage.proxy.calls["ChangeMessageVisibilityBatch"] >= extensions + 4)  # one per second
    stage.recorder.release.set()

    stage.empty(queue)
    (one,) = trigger.delivered(1)
    assert (one["attempts"], stage.recorder.bodies.count("rekeyed")) == (1, 1)


def test_failed_entries_of_visibility_batch_are_retried(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 500 if body.startswith("again") else 200
    queue = stage.queue(VisibilityTimeout="30")
    trigger = stage.listen(queue)
    start = len(stage.recorder.seen)

    stage.send(queue, *(f"again{n}" for n in range(4)))
    for attempt in range(1, 5):
        for number in range(4):
            trigger.attempted(f"again{number}", attempt)
        stage.proxy.failing["ChangeMessageVisibilityBatch"] = 3
        stage.platform.advance(30)

    assert len(trigger.delivered(4, "dead")) == 4
    bodies = stage.recorder.bodies[start:]
    assert {body: bodies.count(body) for body in set(bodies)} == {f"again{n}": 4 for n in range(4)}
    stage.empty(queue)


def test_fifo_group_continues_after_redrive_of_failing_message(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 500 if body == "g-failing" else 200
    dead_letters = stage.queue(".fifo")
    names = ["QueueArn"]
    found = stage.client.get_queue_attributes(QueueUrl=stage.url(dead_letters), AttributeNames=names)
    policy = f'{{"deadLetterTargetArn": "{found["Attributes"]["QueueArn"]}", "maxReceiveCount": 2}}'
    queue = stage.queue(".fifo", VisibilityTimeout="3", RedrivePolicy=policy)
    start = len(stage.recorder.seen)
    for body in ("g-failing", "g-next", "h-other"):
        stage.send(queue, body, MessageGroupId=body[0])
    trigger = stage.listen(queue)

    stage.recorder.times("h-other", 1)
    for attempt in (1, 2):
        trigger.attempted("g-failing", attempt)
        assert "g-next" not in stage.recorder.bodies[start:]
        stage.platform.advance(3)

    trigger.delivered(2)
    assert [body for body in stage.recorder.bodies[start:] if body[0] == "g"] == ["g-failing"] * 2 + ["g-next"]
    wait_until(lambda: stage.left(dead_letters) == 1)
    assert [one["status"] for one in trigger.deliveries() if one["body"] == "g-failing"] == ["failed"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # ten seconds per server
def test_trigger_recovers_after_service_restarts_without_queues(stage: Stage) -> None:
    with running_sqs(stage.server.kind) as server:
        client = server.client()
        url = client.create_queue(QueueName="restarted")["QueueUrl"]
        config = {"endpoint": server.endpoint, "queue_url": url, "access_key": "A", "secret_key": "S"}
        trigger = stage.trigger(sqs_config=config)
        client.send_message(QueueUrl=url, MessageBody="before restart")
        trigger.delivered(1)

        server.kill()
        failed = trigger.until(lambda view: view["status"] == "error", 60)
        assert "cannot be reached" in failed["error_message"]
        server.start()
        failed = trigger.until(lambda view: "queue does not exist" in str(view["error_message"]), 60)
        client.create_queue(QueueName="restarted")
        trigger.until(lambda view: view["status"] == "ready", 60)
        client.send_message(QueueUrl=url, MessageBody="after restart")

        assert [one["body"] for one in trigger.delivered(2)] == ["after restart", "before restart"]


def test_endpoint_path_is_kept_in_requests(stage: Stage) -> None:
    queue = stage.queue()
    trigger = stage.listen(queue, endpoint=f"{stage.proxy.url}/elastic/mq")

    stage.send(queue, "under a path")

    trigger.delivered(1)
    assert stage.proxy.paths == {"/elastic/mq"}
