"""SQS triggers where the queue, the keys or the service go away under them, and what that does to messages."""

from __future__ import annotations

import pytest

from tests.support.sqs_environment import SqsEnvironment
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_attributes_of_a_message_change_nothing_of_its_request(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    stage.create_queue_trigger(queue)
    attributes = {
        "Content-Type": {"DataType": "String", "StringValue": "application/x-theirs"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }

    stage.client.send_message(QueueUrl=stage.queue_url(queue), MessageBody="labelled", MessageAttributes=attributes)

    stage.handlers.wait_for_count("labelled", 1)
    stage.wait_until_empty(queue)
    headers = stage.handlers.headers[-1]
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not {name.lower() for name in headers} & {"count", "raw"}


def test_a_queue_that_is_deleted_while_it_is_listened_to_is_heard_again_when_it_is_back(
    stage: SqsEnvironment,
) -> None:
    stage.handlers.is_held = lambda body: body == "last"
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue, stage.functions.deploy_function(max_scale=1))
    before = stage.handlers.bodies.count("last")
    stage.send(queue, "last")
    stage.handlers.wait_for_count("last", before + 1)

    stage.client.delete_queue(QueueUrl=stage.queue_url(queue))
    stage.handlers.release.set()
    ill = trigger.wait_for(lambda view: view["status"] == "error")
    assert "the queue does not exist" in ill["error_message"]
    stage.client.create_queue(QueueName=queue)
    trigger.wait_for(lambda view: view["status"] == "ready")
    stage.send(queue, "after")

    assert [one["body"] for one in trigger.wait_for_deliveries(2)] == ["after", "last"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # the answers are the proxy's
def test_keys_that_expire_while_a_message_is_handled_neither_lose_nor_repeat_it(stage: SqsEnvironment) -> None:
    stage.handlers.is_held = lambda body: body == "expiring"
    queue = stage.create_queue(VisibilityTimeout="3")
    trigger = stage.create_queue_trigger(queue)
    before = stage.handlers.bodies.count("expiring")
    stage.send(queue, "expiring")
    stage.handlers.wait_for_count("expiring", before + 1)

    stage.proxy.responses["*"] = (403, "ExpiredToken", "The security token AKID1 is expired")
    stage.handlers.release.set()
    ill = trigger.wait_for(lambda view: view["status"] == "error")
    assert "does not accept the keys: ExpiredToken: The security token … is expired" in ill["error_message"]
    del stage.proxy.responses["*"]

    trigger.wait_for(lambda view: view["status"] == "ready")
    stage.wait_until_empty(queue)
    (one,) = trigger.wait_for_deliveries(1)
    assert (one["attempts"], stage.handlers.bodies.count("expiring")) == (1, before + 1)


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # what counts is what is asked of it
def test_a_message_is_kept_hidden_too_while_its_trigger_is_given_other_keys(stage: SqsEnvironment) -> None:
    stage.handlers.is_held = lambda body: body == "rekeyed"
    queue = stage.create_queue(VisibilityTimeout="3")
    trigger = stage.create_queue_trigger(queue)
    stage.send(queue, "rekeyed")
    stage.handlers.wait_for_count("rekeyed", 1)

    stage.functions.api.request(
        "PATCH",
        f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}",
        {"sqs_config": {"access_key": "AKID2", "secret_key": "s2"}},
    ).ok()
    wait_until(lambda: "AKID2" in stage.proxy.access_keys)
    kept = stage.proxy.calls["ChangeMessageVisibilityBatch"]
    wait_until(lambda: stage.proxy.calls["ChangeMessageVisibilityBatch"] >= kept + 4)  # one a second
    stage.handlers.release.set()

    stage.wait_until_empty(queue)
    (one,) = trigger.wait_for_deliveries(1)
    assert (one["attempts"], stage.handlers.bodies.count("rekeyed")) == (1, 1)


def test_a_retry_that_the_queue_takes_in_part_is_asked_for_again(stage: SqsEnvironment) -> None:
    stage.handlers.status_for = lambda body: 500 if body.startswith("again") else 200
    queue = stage.create_queue(VisibilityTimeout="30")
    trigger = stage.create_queue_trigger(queue)
    start = len(stage.handlers.received)

    stage.send(queue, *(f"again{n}" for n in range(4)))
    for attempt in range(1, 5):
        for number in range(4):
            trigger.wait_for_attempts(f"again{number}", attempt)
        stage.proxy.failing_entries["ChangeMessageVisibilityBatch"] = 3
        stage.platform.advance(30)

    assert len(trigger.wait_for_deliveries(4, "dead")) == 4
    tried = stage.handlers.bodies[start:]
    assert {body: tried.count(body) for body in set(tried)} == {f"again{n}": 4 for n in range(4)}
    stage.wait_until_empty(queue)


def test_a_policy_of_a_queue_with_groups_moves_poison_away_and_the_group_goes_on(stage: SqsEnvironment) -> None:
    stage.handlers.status_for = lambda body: 500 if body == "g-poison" else 200
    dead_letters = stage.create_queue(".fifo")
    names = ["QueueArn"]
    found = stage.client.get_queue_attributes(QueueUrl=stage.queue_url(dead_letters), AttributeNames=names)
    policy = f'{{"deadLetterTargetArn": "{found["Attributes"]["QueueArn"]}", "maxReceiveCount": 2}}'
    queue = stage.create_queue(".fifo", VisibilityTimeout="3", RedrivePolicy=policy)
    start = len(stage.handlers.received)
    for body in ("g-poison", "g-next", "h-other"):
        stage.send(queue, body, MessageGroupId=body[0])
    trigger = stage.create_queue_trigger(queue)

    stage.handlers.wait_for_count("h-other", 1)
    for attempt in (1, 2):
        trigger.wait_for_attempts("g-poison", attempt)
        assert "g-next" not in stage.handlers.bodies[start:]
        stage.platform.advance(3)

    trigger.wait_for_deliveries(2)
    assert [body for body in stage.handlers.bodies[start:] if body[0] == "g"] == ["g-poison"] * 2 + ["g-next"]
    wait_until(lambda: stage.message_count(dead_letters) == 1)
    assert [one["status"] for one in trigger.deliveries() if one["body"] == "g-poison"] == ["failed"]


@pytest.mark.parametrize("server", ["fauxqs"], indirect=True)  # it takes ten seconds
def test_a_service_that_is_killed_and_comes_back_empty_is_listened_to_again(stage: SqsEnvironment) -> None:
    with running_sqs(stage.server.kind) as server:
        client = server.client()
        url = client.create_queue(QueueName="phoenix")["QueueUrl"]
        config = {"endpoint": server.endpoint, "queue_url": url, "access_key": "A", "secret_key": "S"}
        trigger = stage.create_trigger(sqs_config=config)
        client.send_message(QueueUrl=url, MessageBody="first life")
        trigger.wait_for_deliveries(1)

        server.kill()
        ill = trigger.wait_for(lambda view: view["status"] == "error", 60)
        assert "cannot be reached" in ill["error_message"]
        server.start()
        ill = trigger.wait_for(lambda view: "queue does not exist" in str(view["error_message"]), 60)
        client.create_queue(QueueName="phoenix")
        trigger.wait_for(lambda view: view["status"] == "ready", 60)
        client.send_message(QueueUrl=url, MessageBody="second life")

        assert [one["body"] for one in trigger.wait_for_deliveries(2)] == ["second life", "first life"]


def test_an_endpoint_may_have_a_path(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue, endpoint=f"{stage.proxy.url}/elastic/mq")

    stage.send(queue, "under a path")

    trigger.wait_for_deliveries(1)
    assert stage.proxy.paths == {"/elastic/mq"}
