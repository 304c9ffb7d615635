"""A platform whose clock stands, with SQS triggers on one server behind a proxy that can be told to misbehave."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.support.platform import PlatformUnderTest
from tests.support.queue_functions import QueueFunctions, TriggerUnderTest
from tests.support.recorder import Recorder
from tests.support.sqs_proxy import SqsProxy
from tests.support.sqs_servers import SqsServer
from tests.support.waiting import wait_until

__all__ = ["Stage"]

_numbers = itertools.count(1)


@dataclass
class Stage:
    """A platform whose clock stands, one server behind a proxy, and functions that tell the recorder."""

    platform: PlatformUnderTest
    recorder: Recorder
    functions: QueueFunctions
    server: SqsServer
    proxy: SqsProxy
    client: Any
    triggers: list[TriggerUnderTest] = field(default_factory=list)

    def queue(self, suffix: str = "", **attributes: str) -> str:
        """Make a queue; returns its name."""
        name = f"q{next(_numbers)}{suffix}"
        if suffix == ".fifo":
            attributes |= {"FifoQueue": "true"}
        self.client.create_queue(QueueName=name, Attributes=attributes)
        return name

    def url(self, queue: str) -> str:
        return str(self.client.get_queue_url(QueueName=queue)["QueueUrl"])

    def listen(self, queue: str, function_id: str = "", **keys: str) -> TriggerUnderTest:
        """A trigger on that queue, through the proxy, whose report says that it listens."""
        config = {
            "endpoint": self.proxy.url,
            "queue_url": self.url(queue),
            "access_key": "AKID1",
            "secret_key": "s1",
        }
        return self.trigger(function_id, sqs_config={**config, **keys})

    def trigger(self, function_id: str = "", **source: object) -> TriggerUnderTest:
        """One that goes with the test."""
        trigger = self.functions.trigger(function_id or self.functions.usual, **source)
        self.triggers.append(trigger)
        return trigger

    def send(self, queue: str, *bodies: str, **more: str) -> None:
        url = self.url(queue)
        for number, body in enumerate(bodies):
            extra = {"MessageDeduplicationId": f"{body}-{number}"} if queue.endswith(".fifo") else {}
            self.client.send_message(QueueUrl=url, MessageBody=body, **extra, **more)

    def left(self, queue: str) -> int:
        """How many messages the queue holds, seen or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def empty(self, queue: str) -> None:
        wait_until(lambda: self.left(queue) == 0, what=f"an empty {queue}")
