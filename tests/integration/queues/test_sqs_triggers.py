"""SQS triggers on a real platform with two third-party servers: the guarantees in ``docs/triggers.md``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest
from tests.support.sqs_environment import SqsEnvironment
from tests.support.sqs_servers import queue_client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_message_is_posted_once_unchanged_and_then_deleted(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue)

    body = f'{{"käse": "€", "at": "{sqs.server.kind}"}}\n'
    sqs.send(queue, body)

    (one,) = trigger.wait_for_deliveries(1)
    assert (one["kind"], one["body"], one["attempts"], one["http_status"]) == ("sqs", body, 1, 200)
    assert sqs.handlers.bodies.count(body) == 1
    headers = sqs.handlers.headers[-1]
    assert headers["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    sqs.wait_until_empty(queue)


def test_large_message_is_delivered_complete(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    sqs.create_queue_trigger(queue)

    body = "large:" + "ö" * 120_000
    sqs.send(queue, body)

    sqs.handlers.wait_for_count(body, 1)
    sqs.wait_until_empty(queue)


@pytest.mark.long
def test_failing_message_is_retried_after_visibility_timeout_then_dead(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 500 if body == "poison" else 200
    queue = sqs.create_queue(VisibilityTimeout="40")
    trigger = sqs.create_queue_trigger(queue)
    before = sqs.handlers.bodies.count("poison")

    sqs.send(queue, "poison")
    for attempt in range(1, 5):
        sqs.handlers.wait_for_count("poison", before + attempt)
        trigger.wait_for_attempts("poison", attempt)
        sqs.platform.advance(39)
        assert sqs.handlers.bodies.count("poison") == before + attempt
        sqs.platform.advance(2)

    (dead,) = trigger.wait_for_deliveries(1, "dead")
    assert (dead["attempts"], dead["body"], dead["http_status"]) == (4, "poison", 500)
    sqs.wait_until_empty(queue)
    sqs.handlers.status_for = lambda _: 200
    trigger.replay(dead["id"])
    (again,) = trigger.wait_for_deliveries(1)
    assert (again["cause"], again["replay_of"], again["body"]) == ("replay", dead["id"], "poison")


@pytest.mark.long
def test_failing_messages_do_not_block_others(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 500 if body.startswith("bad") else 200
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue, sqs.functions.deploy_function(max_scale=2))

    sqs.send(queue, *(f"bad{n}" for n in range(15)), *(f"good{n}" for n in range(15)))

    assert len(trigger.wait_for_deliveries(15)) == 15
    wait_until(lambda: sqs.message_count(queue) == 15)


@pytest.mark.long
def test_redrive_policy_moves_failing_message_to_dead_letter_queue(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 503 if body == "failing" else 200
    dead_letters = sqs.create_queue()
    found = sqs.client.get_queue_attributes(QueueUrl=sqs.queue_url(dead_letters), AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = sqs.create_queue(VisibilityTimeout="3", RedrivePolicy=policy)
    trigger = sqs.create_queue_trigger(queue)
    before = sqs.handlers.bodies.count("failing")

    sqs.send(queue, "failing")

    for attempt in (1, 2):
        sqs.handlers.wait_for_count("failing", before + attempt)
        trigger.wait_for_attempts("failing", attempt)
        sqs.platform.advance(3)
    wait_until(lambda: sqs.message_count(dead_letters) == 1)
    sqs.wait_until_empty(queue)
    (one,) = trigger.deliveries()
    assert (one["status"], one["attempts"]) == ("failed", 2)
    assert sqs.handlers.bodies.count("failing") == before + 2


@pytest.mark.long
def test_visibility_timeout_is_extended_while_message_is_processed(sqs: SqsEnvironment) -> None:
    sqs.handlers.is_held = lambda body: body == "slow"
    queue = sqs.create_queue(VisibilityTimeout="5")
    trigger = sqs.create_queue_trigger(queue)
    before = sqs.handlers.bodies.count("slow")

    sqs.send(queue, "slow")
    wait_until(lambda: sqs.proxy.calls["ChangeMessageVisibilityBatch"] >= 4)  # three in five seconds
    sqs.handlers.release.set()

    (one,) = trigger.wait_for_deliveries(1)
    assert one["attempts"] == 1
    assert sqs.proxy.calls["ReceiveMessage"] <= 2
    assert sqs.handlers.bodies.count("slow") == before + 1
    sqs.wait_until_empty(queue)


def test_at_most_ten_messages_are_received_and_in_flight(sqs: SqsEnvironment) -> None:
    sqs.handlers.is_held = lambda body: body.startswith("many")
    queue = sqs.create_queue()
    sqs.send(queue, *(f"many{n}" for n in range(25)))
    trigger = sqs.create_queue_trigger(queue)

    wait_until(lambda: len(sqs.handlers.in_flight) == 10)
    names = ["ApproximateNumberOfMessages"]
    hidden = sqs.client.get_queue_attributes(QueueUrl=sqs.queue_url(queue), AttributeNames=names)["Attributes"]
    assert int(hidden[names[0]]) == 15
    sqs.handlers.release.set()

    assert len(trigger.wait_for_deliveries(25)) == 25
    assert sqs.handlers.max_in_flight == 10


def test_single_instance_function_receives_one_message_at_a_time(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    sqs.send(queue, *(f"single{n}" for n in range(8)))
    trigger = sqs.create_queue_trigger(queue, sqs.functions.deploy_function(max_scale=1))

    trigger.wait_for_deliveries(8)
    sqs.wait_until_empty(queue)
    assert sqs.handlers.max_in_flight == 1
    assert set(sqs.proxy.batch_sizes["ReceiveMessage"]) == {1}


def test_failed_entries_of_delete_batch_are_retried(sqs: SqsEnvironment) -> None:
    sqs.proxy.failing_entries["DeleteMessageBatch"] = 7
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue)

    sqs.send(queue, *(f"part{n}" for n in range(12)))

    trigger.wait_for_deliveries(12)
    sqs.wait_until_empty(queue)
    assert set(sqs.handlers.counts("part").values()) == {1} or sqs.server.kind == "fauxqs"
    assert sqs.proxy.failing_entries["DeleteMessageBatch"] == 0


def test_fifo_groups_stay_ordered_and_failure_blocks_only_its_group(sqs: SqsEnvironment) -> None:
    sqs.handlers.status_for = lambda body: 500 if body == "b0" else 200
    queue = sqs.create_queue(".fifo", VisibilityTimeout="30")
    start = len(sqs.handlers.received)
    for number in range(4):
        for group in "abc":
            sqs.send(queue, f"{group}{number}", MessageGroupId=group)
    trigger = sqs.create_queue_trigger(queue)

    trigger.wait_for_deliveries(8)
    for attempt in range(1, 4):
        trigger.wait_for_attempts("b0", attempt)
        assert "b1" not in sqs.handlers.bodies[start:]
        sqs.platform.advance(30)
    trigger.wait_for_attempts("b0", 4)  # the last one, after which the group continues at once
    trigger.wait_for_deliveries(11)

    bodies = sqs.handlers.bodies[start:]
    assert [body for body in bodies if body[0] == "a"] == [f"a{n}" for n in range(4)]
    assert [body for body in bodies if body[0] == "c"] == [f"c{n}" for n in range(4)]
    assert [body for body in bodies if body[0] == "b"] == ["b0"] * 4 + [f"b{n}" for n in range(1, 4)]
    sqs.wait_until_empty(queue)


@pytest.mark.parametrize(
    "failure",
    [None, (503, "ServiceUnavailable", "later"), (400, "Throttling", "Rate exceeded")],
    ids=["connection-closed", "503", "throttling"],
)
def test_endpoint_failure_is_retried_without_loss_or_duplicates(
    sqs: SqsEnvironment, failure: tuple[int, str, str] | None
) -> None:
    sqs.handlers.is_held = lambda body: body == "held"
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue)
    before = sqs.handlers.counts()
    sqs.send(queue, "held")
    sqs.handlers.wait_for_count("held", before["held"] + 1)

    sqs.proxy.responses["*"] = failure
    sqs.handlers.release.set()
    sqs.send(queue, "next")
    attempts = sqs.proxy.calls["DeleteMessageBatch"]
    wait_until(lambda: sqs.proxy.calls["DeleteMessageBatch"] >= attempts + 3)
    del sqs.proxy.responses["*"]

    trigger.wait_for_deliveries(2)
    sqs.wait_until_empty(queue)
    assert sqs.handlers.counts()["held"] == before["held"] + 1
    assert trigger.view()["status"] == "ready"


def test_rejected_keys_error_omits_keys_and_clears_with_new_keys(sqs: SqsEnvironment) -> None:
    rejection = (403, "InvalidClientTokenId", "The security token AKID1 with s1secret is invalid.")
    sqs.proxy.responses["*"] = rejection
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue, secret_key="s1secret")

    failed = trigger.wait_for(lambda view: view["status"] == "error")
    assert "does not accept the keys" in failed["error_message"]
    assert "AKID1" not in failed["error_message"]
    assert "s1secret" not in failed["error_message"]
    del sqs.proxy.responses["*"]
    keys = {"access_key": "AKID2", "secret_key": "s2"}
    sqs.functions.api.request(
        "PATCH", f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}", {"sqs_config": keys}
    ).ok()
    sqs.send(queue, "after key change")

    trigger.wait_for_deliveries(1)
    assert trigger.wait_for(lambda view: view["status"] == "ready")["error_message"] is None
    assert "AKID2" in sqs.proxy.access_keys


def test_missing_queue_error_clears_when_queue_is_created(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue()
    first = sqs.create_queue_trigger(queue)
    first.wait_for(lambda view: view["status"] == "ready")
    url = sqs.queue_url(queue)

    sqs.client.delete_queue(QueueUrl=url)
    config = {"endpoint": sqs.proxy.url, "queue_url": url, "access_key": "A", "secret_key": "B"}
    second = sqs.create_trigger(sqs_config=config)
    failed = second.wait_for(lambda view: view["status"] == "error")
    assert f"the queue does not exist at {sqs.proxy.url[7:]}" in failed["error_message"]
    sqs.client.create_queue(QueueName=queue)
    second.wait_for(lambda view: view["status"] == "ready")
    sqs.triggers.remove(first)
    first.delete()
    sqs.send(queue, "recreated")

    second.wait_for_deliveries(1)


def test_trigger_works_without_permission_to_read_queue_attributes(sqs: SqsEnvironment) -> None:
    sqs.proxy.responses["GetQueueAttributes"] = (403, "AccessDenied", "no")
    queue = sqs.create_queue()
    trigger = sqs.create_queue_trigger(queue)

    sqs.send(queue, "without attributes")

    trigger.wait_for_deliveries(1)
    assert trigger.view()["status"] == "ready"


def test_message_sent_after_trigger_deletion_stays_available(sqs: SqsEnvironment) -> None:
    queue = sqs.create_queue(VisibilityTimeout="300")
    trigger = sqs.create_queue_trigger(queue)
    wait_until(lambda: sqs.proxy.calls["ReceiveMessage"] >= 1)

    sqs.triggers.remove(trigger)
    trigger.delete()
    sqs.send(queue, "late")

    url = sqs.queue_url(queue)
    found = wait_until(lambda: sqs.client.receive_message(QueueUrl=url).get("Messages"))
    assert [one["Body"] for one in found] == ["late"]
    assert "late" not in sqs.handlers.bodies


def test_scaleway_queue_uses_configured_broker_of_its_region(
    sqs: SqsEnvironment, platform: PlatformUnderTest
) -> None:
    brokers = Path(platform.home, "brokers.toml")
    client = queue_client(sqs.server.endpoint, "nl-ams")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    config = {"queue": "orders", "mnq_project_id": platform.project_id, "mnq_region": "nl-ams"}
    trigger = sqs.create_trigger(scw_sqs_config=config)
    try:
        assert trigger.view()["status"] == "ready"  # and idle, because no broker is configured
        brokers.touch(0o600)
        brokers.write_text(
            f'[[sqs]]\nregion = "nl-ams"\nendpoint = "{sqs.proxy.url}"\naccess_key = "AKID9"\nsecret_key = "k"\n'
        )
        client.send_message(QueueUrl=url, MessageBody="found")
        trigger.wait_for_deliveries(1)
        assert sqs.proxy.access_keys == {"AKID9"}
    finally:
        brokers.unlink(missing_ok=True)


def test_endpoint_that_is_not_sqs_sets_trigger_error(sqs: SqsEnvironment) -> None:
    config = {"endpoint": sqs.handlers.url, "queue_url": f"{sqs.handlers.url}1/jobs"}
    trigger = sqs.create_trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    failed = trigger.wait_for(lambda view: view["status"] == "error")
    assert (
        "does not respond with SQS JSON" in failed["error_message"]
        or "cannot be reached" in failed["error_message"]
    )


def test_unreachable_endpoint_sets_trigger_error(sqs: SqsEnvironment) -> None:
    config = {"endpoint": "http://127.0.0.1:9", "queue_url": "http://127.0.0.1:9/1/jobs"}
    trigger = sqs.create_trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    failed = trigger.wait_for(lambda view: view["status"] == "error")
    assert "SQS at 127.0.0.1:9 cannot be reached" in failed["error_message"]
