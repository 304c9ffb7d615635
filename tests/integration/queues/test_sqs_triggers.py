"""SQS triggers on a real platform, at two servers that are not ours: what the page on triggers promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest
from tests.support.sqs_environment import SqsEnvironment
from tests.support.sqs_servers import queue_client
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_a_message_is_posted_raw_once_and_then_deleted(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue)

    body = f'{{"käse": "€", "at": "{stage.server.kind}"}}\n'
    stage.send(queue, body)

    (one,) = trigger.wait_for_deliveries(1)
    assert (one["kind"], one["body"], one["attempts"], one["http_status"]) == ("sqs", body, 1, 200)
    assert stage.handlers.bodies.count(body) == 1
    headers = stage.handlers.headers[-1]
    assert headers["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    stage.wait_until_empty(queue)


def test_a_large_message_arrives_whole(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    stage.create_queue_trigger(queue)

    body = "large:" + "ö" * 120_000
    stage.send(queue, body)

    stage.handlers.wait_for_count(body, 1)
    stage.wait_until_empty(queue)


def test_a_refused_message_is_tried_four_times_spaced_by_the_queue_s_own_timeout_then_dead_and_replayable(
    stage: SqsEnvironment,
) -> None:
    stage.handlers.status_for = lambda body: 500 if body == "poison" else 200
    queue = stage.create_queue(VisibilityTimeout="40")
    trigger = stage.create_queue_trigger(queue)
    before = stage.handlers.bodies.count("poison")

    stage.send(queue, "poison")
    for attempt in range(1, 5):
        stage.handlers.wait_for_count("poison", before + attempt)
        trigger.wait_for_attempts("poison", attempt)
        stage.platform.advance(39)
        assert stage.handlers.bodies.count("poison") == before + attempt
        stage.platform.advance(2)

    (dead,) = trigger.wait_for_deliveries(1, "dead")
    assert (dead["attempts"], dead["body"], dead["http_status"]) == (4, "poison", 500)
    stage.wait_until_empty(queue)
    stage.handlers.status_for = lambda _: 200
    trigger.replay(dead["id"])
    (again,) = trigger.wait_for_deliveries(1)
    assert (again["cause"], again["replay_of"], again["body"]) == ("replay", dead["id"], "poison")


def test_poison_blocks_nobody(stage: SqsEnvironment) -> None:
    stage.handlers.status_for = lambda body: 500 if body.startswith("bad") else 200
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue, stage.functions.deploy_function(max_scale=2))

    stage.send(queue, *(f"bad{n}" for n in range(15)), *(f"good{n}" for n in range(15)))

    assert len(trigger.wait_for_deliveries(15)) == 15
    wait_until(lambda: stage.message_count(queue) == 15)


def test_a_redrive_policy_is_left_to_do_its_work(stage: SqsEnvironment) -> None:
    stage.handlers.status_for = lambda body: 503 if body == "poor" else 200
    dead_letters = stage.create_queue()
    found = stage.client.get_queue_attributes(QueueUrl=stage.queue_url(dead_letters), AttributeNames=["QueueArn"])
    arn = found["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = stage.create_queue(VisibilityTimeout="3", RedrivePolicy=policy)
    trigger = stage.create_queue_trigger(queue)
    before = stage.handlers.bodies.count("poor")

    stage.send(queue, "poor")

    for attempt in (1, 2):
        stage.handlers.wait_for_count("poor", before + attempt)
        trigger.wait_for_attempts("poor", attempt)
        stage.platform.advance(3)
    wait_until(lambda: stage.message_count(dead_letters) == 1)
    stage.wait_until_empty(queue)
    (one,) = trigger.deliveries()
    assert (one["status"], one["attempts"]) == ("failed", 2)
    assert stage.handlers.bodies.count("poor") == before + 2


def test_what_is_handled_longer_than_the_queue_hides_it_is_kept_hidden(stage: SqsEnvironment) -> None:
    stage.handlers.is_held = lambda body: body == "slow"
    queue = stage.create_queue(VisibilityTimeout="5")
    trigger = stage.create_queue_trigger(queue)
    before = stage.handlers.bodies.count("slow")

    stage.send(queue, "slow")
    wait_until(lambda: stage.proxy.calls["ChangeMessageVisibilityBatch"] >= 4)  # three in five seconds
    stage.handlers.release.set()

    (one,) = trigger.wait_for_deliveries(1)
    assert one["attempts"] == 1
    assert stage.proxy.calls["ReceiveMessage"] <= 2
    assert stage.handlers.bodies.count("slow") == before + 1
    stage.wait_until_empty(queue)


def test_at_most_ten_are_in_flight_and_no_more_are_asked_for_than_there_are_hands(stage: SqsEnvironment) -> None:
    stage.handlers.is_held = lambda body: body.startswith("many")
    queue = stage.create_queue()
    stage.send(queue, *(f"many{n}" for n in range(25)))
    trigger = stage.create_queue_trigger(queue)

    wait_until(lambda: len(stage.handlers.in_flight) == 10)
    names = ["ApproximateNumberOfMessages"]
    hidden = stage.client.get_queue_attributes(QueueUrl=stage.queue_url(queue), AttributeNames=names)["Attributes"]
    assert int(hidden[names[0]]) == 15
    stage.handlers.release.set()

    assert len(trigger.wait_for_deliveries(25)) == 25
    assert stage.handlers.max_in_flight == 10


def test_a_function_of_one_instance_is_given_one_at_a_time(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    stage.send(queue, *(f"single{n}" for n in range(8)))
    trigger = stage.create_queue_trigger(queue, stage.functions.deploy_function(max_scale=1))

    trigger.wait_for_deliveries(8)
    stage.wait_until_empty(queue)
    assert stage.handlers.max_in_flight == 1
    assert set(stage.proxy.batch_sizes["ReceiveMessage"]) == {1}


def test_deletions_that_fail_in_part_are_repeated_for_that_part(stage: SqsEnvironment) -> None:
    stage.proxy.failing_entries["DeleteMessageBatch"] = 7
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue)

    stage.send(queue, *(f"part{n}" for n in range(12)))

    trigger.wait_for_deliveries(12)
    stage.wait_until_empty(queue)
    assert set(stage.handlers.counts("part").values()) == {1} or stage.server.kind == "fauxqs"
    assert stage.proxy.failing_entries["DeleteMessageBatch"] == 0


def test_groups_keep_their_order_and_a_failing_message_blocks_its_group_alone(stage: SqsEnvironment) -> None:
    stage.handlers.status_for = lambda body: 500 if body == "b0" else 200
    queue = stage.create_queue(".fifo", VisibilityTimeout="30")
    start = len(stage.handlers.received)
    for number in range(4):
        for group in "abc":
            stage.send(queue, f"{group}{number}", MessageGroupId=group)
    trigger = stage.create_queue_trigger(queue)

    trigger.wait_for_deliveries(8)
    for attempt in range(1, 5):
        trigger.wait_for_attempts("b0", attempt)
        assert "b1" not in stage.handlers.bodies[start:]
        stage.platform.advance(30)
    trigger.wait_for_deliveries(11)

    seen = stage.handlers.bodies[start:]
    assert [body for body in seen if body[0] == "a"] == [f"a{n}" for n in range(4)]
    assert [body for body in seen if body[0] == "c"] == [f"c{n}" for n in range(4)]
    assert [body for body in seen if body[0] == "b"] == ["b0"] * 4 + [f"b{n}" for n in range(1, 4)]
    stage.wait_until_empty(queue)


@pytest.mark.parametrize(
    "trouble",
    [None, (503, "ServiceUnavailable", "later"), (400, "Throttling", "Rate exceeded")],
    ids=["broken connections", "503", "throttling"],
)
def test_an_endpoint_in_trouble_is_asked_again_and_nothing_is_lost_or_told_twice(
    stage: SqsEnvironment, trouble: tuple[int, str, str] | None
) -> None:
    stage.handlers.is_held = lambda body: body == "held"
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue)
    before = stage.handlers.counts()
    stage.send(queue, "held")
    stage.handlers.wait_for_count("held", before["held"] + 1)

    stage.proxy.responses["*"] = trouble
    stage.handlers.release.set()
    stage.send(queue, "next")
    tried = stage.proxy.calls["DeleteMessageBatch"]
    wait_until(lambda: stage.proxy.calls["DeleteMessageBatch"] >= tried + 3)
    del stage.proxy.responses["*"]

    trigger.wait_for_deliveries(2)
    stage.wait_until_empty(queue)
    assert stage.handlers.counts()["held"] == before["held"] + 1
    assert trigger.view()["status"] == "ready"


def test_wrong_keys_show_at_the_trigger_without_the_keys_and_other_keys_heal_it(stage: SqsEnvironment) -> None:
    wrong = (403, "InvalidClientTokenId", "The security token AKID1 with s1secret is invalid.")
    stage.proxy.responses["*"] = wrong
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue, secret_key="s1secret")

    ill = trigger.wait_for(lambda view: view["status"] == "error")
    assert "does not accept the keys" in ill["error_message"]
    assert "AKID1" not in ill["error_message"]
    assert "s1secret" not in ill["error_message"]
    del stage.proxy.responses["*"]
    keys = {"access_key": "AKID2", "secret_key": "s2"}
    stage.functions.api.request(
        "PATCH", f"/functions/v1beta1/regions/fr-par/triggers/{trigger.id}", {"sqs_config": keys}
    ).ok()
    stage.send(queue, "healed")

    trigger.wait_for_deliveries(1)
    assert trigger.wait_for(lambda view: view["status"] == "ready")["error_message"] is None
    assert "AKID2" in stage.proxy.access_keys


def test_a_queue_that_is_deleted_and_made_again_is_listened_to_again(stage: SqsEnvironment) -> None:
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue)
    trigger.wait_for(lambda view: view["status"] == "ready")
    url = stage.queue_url(queue)

    stage.client.delete_queue(QueueUrl=url)
    config = {"endpoint": stage.proxy.url, "queue_url": url, "access_key": "A", "secret_key": "B"}
    trigger_2 = stage.create_trigger(sqs_config=config)
    ill = trigger_2.wait_for(lambda view: view["status"] == "error")
    assert f"the queue does not exist at {stage.proxy.url[7:]}" in ill["error_message"]
    stage.client.create_queue(QueueName=queue)
    trigger_2.wait_for(lambda view: view["status"] == "ready")
    stage.triggers.remove(trigger)
    trigger.delete()
    stage.send(queue, "reborn")

    trigger_2.wait_for_deliveries(1)


def test_keys_that_may_not_read_attributes_listen_all_the_same(stage: SqsEnvironment) -> None:
    stage.proxy.responses["GetQueueAttributes"] = (403, "AccessDenied", "no")
    queue = stage.create_queue()
    trigger = stage.create_queue_trigger(queue)

    stage.send(queue, "blind")

    trigger.wait_for_deliveries(1)
    assert trigger.view()["status"] == "ready"


def test_a_trigger_that_is_deleted_asks_for_nothing_more_and_hands_back_what_comes_too_late(
    stage: SqsEnvironment,
) -> None:
    queue = stage.create_queue(VisibilityTimeout="300")
    trigger = stage.create_queue_trigger(queue)
    wait_until(lambda: stage.proxy.calls["ReceiveMessage"] >= 1)

    stage.triggers.remove(trigger)
    trigger.delete()
    stage.send(queue, "late")

    url = stage.queue_url(queue)
    found = wait_until(lambda: stage.client.receive_message(QueueUrl=url).get("Messages"))
    assert [one["Body"] for one in found] == ["late"]
    assert "late" not in stage.handlers.bodies


def test_scaleway_s_queues_are_found_by_the_brokers_of_their_project_and_region(
    stage: SqsEnvironment, platform: PlatformUnderTest
) -> None:
    brokers = Path(platform.home, "brokers.toml")
    there = queue_client(stage.server.endpoint, "nl-ams")
    url = there.create_queue(QueueName="orders")["QueueUrl"]
    config = {"queue": "orders", "mnq_project_id": platform.project_id, "mnq_region": "nl-ams"}
    trigger = stage.create_trigger(scw_sqs_config=config)
    try:
        assert trigger.view()["status"] == "ready"  # and idle: nobody said where that is
        brokers.touch(0o600)
        brokers.write_text(
            f'[[sqs]]\nregion = "nl-ams"\nendpoint = "{stage.proxy.url}"\naccess_key = "AKID9"\nsecret_key = "k"\n'
        )
        there.send_message(QueueUrl=url, MessageBody="found")
        trigger.wait_for_deliveries(1)
        assert stage.proxy.access_keys == {"AKID9"}
    finally:
        brokers.unlink(missing_ok=True)


def test_an_address_where_something_else_answers_shows_at_the_trigger(stage: SqsEnvironment) -> None:
    config = {"endpoint": stage.handlers.url, "queue_url": f"{stage.handlers.url}1/jobs"}
    trigger = stage.create_trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    ill = trigger.wait_for(lambda view: view["status"] == "error")
    assert "does not respond with SQS JSON" in ill["error_message"] or "cannot be reached" in ill["error_message"]


def test_an_address_where_nobody_answers_shows_at_the_trigger(stage: SqsEnvironment) -> None:
    config = {"endpoint": "http://127.0.0.1:9", "queue_url": "http://127.0.0.1:9/1/jobs"}
    trigger = stage.create_trigger(sqs_config={**config, "access_key": "A", "secret_key": "B"})

    ill = trigger.wait_for(lambda view: view["status"] == "error")
    assert "SQS at 127.0.0.1:9 cannot be reached" in ill["error_message"]
