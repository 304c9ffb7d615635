"""SQS triggers on a real platform with two third-party servers: the guarantees in ``docs/triggers.md``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest
from tests.support.sqs_servers import queue_client
from tests.support.sqs_stage import Stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_message_is_posted_once_unchanged_and_then_deleted(stage: Stage) -> None:
    queue = stage.queue()
    trigger = stage.listen(queue)

    body = f'{{"käse": "€", "at": "{stage.server.kind}"}}\n'
    stage.send(queue, body)

    (one,) = trigger.delivered(1)
    assert (one["kind"], one["body"], one["attempts"], one["http_status"]) == ("sqs", body, 1, 200)
    assert stage.recorder.bodies.count(body) == 1
    headers = stage.recorder.headers[-1]
    assert headers["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    stage.empty(queue)


def test_large_message_is_delivered_complete(stage: Stage) -> None:
    queue = stage.queue()
    stage.listen(queue)

    body = "large:" + "ö" * 120_000
    stage.send(queue, body)

    stage.recorder.times(body, 1)
    stage.empty(queue)


def test_failing_message_is_retried_after_visibility_timeout_then_dead(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 500 if body == "poison" else 200
    queue = stage.queue(VisibilityTimeout="40")
    trigger = stage.listen(queue)
    before = stage.recorder.bodies.count("poison")

    stage.send(queue, "poison")
    for attempt in range(1, 5):
        stage.recorder.times("poison", before + attempt)
        trigger.attempted("poison", attempt)
        stage.platform.advance(39)
        assert stage.recorder.bodies.count("poison") == before + attempt
        stage.platform.advance(2)

    (dead,) = trigger.delivered(1, "dead")
    assert (dead["attempts"], dead["body"], dead["http_status"]) == (4, "poison", 500)
    stage.empty(queue)
    stage.recorder.answer = lambda _: 200
    trigger.replay(dead["id"])
    (again,) = trigger.delivered(1)
    assert (again["cause"], again["replay_of"], again["body"]) == ("replay", dead["id"], "poison")


def test_failing_messages_do_not_block_others(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 500 if body.startswith("bad") else 200
    queue = stage.queue()
    trigger = stage.listen(queue, stage.functions.function(max_scale=2))

    stage.send(queue, *(f"bad{n}" for n in range(15)), *(f"good{n}" for n in range(15)))

    assert len(trigger.delivered(15)) == 15
    wait_until(lambda: stage.left(queue) == 15)


def test_redrive_policy_moves_failing_message_to_dead_letter_queue(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 503 if body == "failing" else 200
    dead_letters = stage.queue()
    found = stage.client.get_queue_attributes(QueueUrl=stage.url(dead_letters), AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = stage.queue(VisibilityTimeout="3", RedrivePolicy=policy)
    trigger = stage.listen(queue)
    before = stage.recorder.bodies.count("failing")

    stage.send(queue, "failing")

    for attempt in (1, 2):
        stage.recorder.times("failing", before + attempt)
        trigger.attempted("failing", attempt)
        stage.platform.advance(3)
    wait_until(lambda: stage.left(dead_letters) == 1)
    stage.empty(queue)
    (one,) = trigger.deliveries()
    assert (one["status"], one["attempts"]) == ("failed", 2)
    assert stage.recorder.bodies.count("failing") == before + 2


def test_visibility_timeout_is_extended_while_message_is_processed(stage: Stage) -> None:
    stage.recorder.holds = lambda body: body == "slow"
    queue = stage.queue(VisibilityTimeout="5")
    trigger = stage.listen(queue)
    before = stage.recorder.bodies.count("slow")

    stage.send(queue, "slow")
    wait_until(lambda: stage.proxy.calls["ChangeMessageVisibilityBatch"] >= 4)  # three in five seconds
    stage.recorder.release.set()

    (one,) = trigger.delivered(1)
    assert one["attempts"] == 1
    assert stage.proxy.calls["ReceiveMessage"] <= 2
    assert stage.recorder.bodies.count("slow") == before + 1
    stage.empty(queue)


def test_at_most_ten_messages_are_received_and_in_flight(stage: Stage) -> None:
    stage.recorder.holds = lambda body: body.startswith("many")
    queue = stage.queue()
    stage.send(queue, *(f"many{n}" for n in range(25)))
    trigger = stage.listen(queue)

    wait_until(lambda: len(stage.recorder.under_way) == 10)
    names = ["ApproximateNumberOfMessages"]
    hidden = stage.client.get_queue_attributes(QueueUrl=stage.url(queue), AttributeNames=names)["Attributes"]
    assert int(hidden[names[0]]) == 15
    stage.recorder.release.set()

    assert len(trigger.delivered(25)) == 25
    assert stage.recorder.at_once == 10


def test_single_instance_function_receives_one_message_at_a_time(stage: Stage) -> None:
    queue = stage.queue()
    stage.send(queue, *(f"single{n}" for n in range(8)))
    trigger = stage.listen(queue, stage.functions.function(max_scale=1))

    trigger.delivered(8)
    stage.empty(queue)
    assert stage.recorder.at_once == 1
    assert set(stage.proxy.entries["ReceiveMessage"]) == {1}


def test_failed_entries_of_delete_batch_are_retried(stage: Stage) -> None:
    stage.proxy.failing["DeleteMessageBatch"] = 7
    queue = stage.queue()
    trigger = stage.listen(queue)

    stage.send(queue, *(f"part{n}" for n in range(12)))

    trigger.delivered(12)
    stage.empty(queue)
    assert set(stage.recorder.counts("part").values()) == {1} or stage.server.kind == "fauxqs"
    assert stage.proxy.failing["DeleteMessageBatch"] == 0


def test_fifo_groups_stay_ordered_and_failure_blocks_only_its_group(stage: Stage) -> None:
    stage.recorder.answer = lambda body: 500 if body == "b0" else 200
    queue = stage.queue(".fifo", VisibilityTimeout="30")
    start = len(stage.recorder.seen)
    for number in range(4):
        for group in "abc":
            stage.send(queue, f"{group}{number}", MessageGroupId=group)
    trigger = stage.listen(queue)

    trigger.delivered(8)
    for attempt in range(1, 5):
        trigger.attempted("b0", attempt)
        assert "b1" not in stage.recorder.bodies[start:]
        stage.platform.advance(30)
    trigger.delivered(11)

    bodies = stage.recorder.bodies[start:]
    assert [body for body in bodies if body[0] == "a"] == [f"a{n}" for n in range(4)]
    assert [body for body in bodies if body[0] == "c"] == [f"c{n}" for n in range(4)]
    assert [body for body in bodies if body[0] == "b"] == ["b0"] * 4 + [f"b{n}" for n in range(1, 4)]
    stage.empty(queue)


@pytest.mark.parametrize(
    "failure",
    [None, (503, "ServiceUnavailable", "later"), (400, "Throttling", "Rate exceeded")],
    ids=["connection-closed", "503", "throttling"],
)
def test_endpoint_failure_is_retried_without_loss_or_duplicates(
    stage: Stage, failure: tuple[int, str, str] | None
) -> None:
    stage.recorder.holds = lambda body: body == "held"
    queue = stage.queue()
    trigger = stage.listen(queue)
    before = stage.recorder.counts()
    stage.send(queue, "held")
    stage.recorder.times("held", before["held"] + 1)

    stage.proxy.statuses["*"] = failure
    stage.recorder.release.set()
    stage.send(queue, "next")
    attempts = stage.proxy.calls["DeleteMessageBatch"]
    wait_until(lambda: stage.proxy.calls["DeleteMessageBatch"] >= attempts + 3)
    del stage.proxy.statuses["*"]

    trigger.delivered(2)
    stage.empty(queue)
    assert stage.recorder.counts()["held"] == before["held"] + 1
    assert trigger.view()["status"] == "ready"


def test_rejected_keys_error_omits_keys_and_clears_with_new_keys(stage: Stage) -> None:
    rejection = (403, "InvalidClientTokenId", "The security token AKID1 with s1secret is invalid.")
    stage.proxy.statuses["*"] = rejection
    queue = stage.queue()
    trigger = stage.listen(queue, secret_key="s1secret")

    failed = trigger.until(lambda view: view["status"] == "error")
    assert "does not accept the keys" in failed["error_message"]
    assert "AKID1" not in failed["error_message"]
    assert "s1secret" not in failed["error_message"]
    del stage.proxy.statuses["*"]
    keys = {"access_key": "AKID2", "secret_key": "s2"}
    stage.functions.api.request(
        "PATCH", f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}", {"sqs_config": keys}
    ).ok()
    stage.send(queue, "after key change")

    trigger.delivered(1)
    assert trigger.until(lambda view: view["status"] == "ready")["error_message"] is None
    assert "AKID2" in stage.proxy.keys


def test_missing_queue_error_clears_when_queue_is_created(stage: Stage) -> None:
    queue = stage.queue()
    first = stage.listen(queue)
    first.until(lambda view: view["status"] == "ready")
    url = stage.url(queue)

    stage.client.delete_queue(QueueUrl=url)
    config = {"endpoint": stage.proxy.url, "queue_url": url, "access_key": "A", "secret_key": "B"}
    second = stage.trigger(sqs_config=config)
    failed = second.until(lambda view: view["status"] == "error")
    assert f"the queue does not exist at {stage.proxy.url[7:]}" in failed["error_message"]
    stage.client.create_queue(QueueName=queue)
    second.until(lambda view: view["status"] == "ready")
    stage.triggers.remove(first)
    first.delete()
    stage.send(queue, "recreated")

    second.delivered(1)


def test_trigger_works_without_permission_to_read_queue_attributes(stage: Stage) -> None:
    stage.proxy.statuses["GetQueueAttributes"] = (403, "AccessDenied", "no")
    queue = stage.queue()
    trigger = stage.listen(queue)

    stage.send(queue, "without attributes")

    trigger.delivered(1)
    assert trigger.view()["status"] == "ready"


def test_message_sent_after_trigger_deletion_stays_available(stage: Stage) -> None:
    queue = stage.queue(VisibilityTimeout="300")
    trigger = stage.listen(queue)
    wait_until(lambda: stage.proxy.calls["ReceiveMessage"] >= 1)

    stage.triggers.remove(trigger)
    trigger.delete()
    stage.send(queue, "late")

    url = stage.url(queue)
    found = wait_until(lambda: stage.client.receive_message(QueueUrl=url).get("Messages"))
    assert [one["Body"] for one in found] == ["late"]
    assert "late" not in stage.recorder.bodies


def test_scaleway_queue_uses_configured_broker_of_its_region(stage: Stage, platform: PlatformUnderTest) -> None:
    brokers = Path(platform.home, "brokers.toml")
    client = queue_client(stage.server.endpoint, "nl-ams")
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    config = {"queue": "orders", "mnq_project_id": platform.project_id, "mnq_region": "nl-ams"}
    trigger = stage.trigger(scw_sqs_config=config)
    try:
        assert trigger.view()["status"] == "ready"  # and idle, because no broker is configured
        brokers.touch(0o600)
        brokers.write_text(
            f'[[sqs]]\nregion = "nl-ams"\nendpoint = "{stage.proxy.url}"\naccess_key = "AKID9"\nsecret_key = "k"\n'
        )
        client.send_message(QueueUrl=url, MessageBody="found")
        trigger.delivered(1)
        assert stage.proxy.keys == {"AKID9"}
    finally:
        brokers.unlink(missing_ok=True)


def test_endpoint_that_is_not_sqs_sets_trigger_error(stage: Stage) -> None:
    config = {"endpoint": stage.recorder.url, "queue_url": f"{stage.recorder.url}1/jobs"}
    trigger = stage.trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    failed = trigger.until(lambda view: view["status"] == "error")
    assert (
        "does not respond with SQS JSON" in failed["error_message"]
        or "cannot be reached" in failed["error_message"]
    )


def test_unreachable_endpoint_sets_trigger_error(stage: Stage) -> None:
    config = {"endpoint": "http://127.0.0.1:9", "queue_url": "http://127.0.0.1:9/1/jobs"}
    trigger = stage.trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    failed = trigger.until(lambda view: view["status"] == "error")
    assert "SQS at 127.0.0.1:9 cannot be reached" in failed["error_message"]
