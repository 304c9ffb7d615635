"""SQS triggers with the kit: queues that a decorator and the settings declare."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.project_tree import write_files
from tests.support.sqs_servers import SERVERS, running_sqs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SETTINGS = """name = "warehouse"

[[function]]
name = "plain"
runtime = "python311"
handler = "plain.handle"
memory = 128

[[function.triggers]]
sqs = "returns.fifo"
"""
DECORATED = """
from fnkit import function, trigger

@trigger(sqs="orders")
@function(memory=128)
def on_order(event, context):
    return {"statusCode": 200 if event["body"] == "tea" else 500}
"""
PLAIN = """
def handle(event, context):
    return "thanks for " + event["body"]
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", SERVERS)
def test_declared_queues_are_consumed_after_a_deploy(tmp_path: Path, kind: str) -> None:
    files = {"fnkit.toml": SETTINGS, "handlers.py": DECORATED, "plain.py": PLAIN}
    project = write_files(tmp_path / "project", files)
    with running_sqs(kind) as server, running_platform(tmp_path / "home", "--manual-clock") as platform:
        brokers = platform.home / "brokers.toml"
        brokers.touch(0o600)
        brokers.write_text(f'[[sqs]]\nendpoint = "{server.endpoint}"\naccess_key = "a"\nsecret_key = "b"\n')
        client = server.client()
        orders = client.create_queue(QueueName="orders")["QueueUrl"]
        returns = client.create_queue(QueueName="returns.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        platform.command("deploy", "--local", "--yes", cwd=project).ok()

        client.send_message(QueueUrl=orders, MessageBody="tea")
        client.send_message(
            QueueUrl=returns, MessageBody="a hat", MessageGroupId="hats", MessageDeduplicationId="1"
        )

        for function, body in (("on-order", "tea"), ("plain", "a hat")):
            found = wait_until(partial(_deliveries, platform, project, function), what=function)
            assert [(one["kind"], one["body"]) for one in found] == [("sqs", body)]


def _deliveries(platform: PlatformUnderTest, project: Path, function: str) -> list[dict[str, object]]:
    answer = platform.command("trigger", "deliveries", function, "--local", "--json", cwd=project).ok()
    found = answer.json()["deliveries"]
    assert isinstance(found, list)
    return found
