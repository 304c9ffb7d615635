"""A platform on a manual clock with SQS triggers, and a fault-injecting proxy in front of the SQS server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.control_process import API, ControlProcess, api_client, zip_archive
from tests.support.handler_controller import HANDLER, HandlerController
from tests.support.platform import PlatformUnderTest
from tests.support.sqs_proxy import SqsProxy
from tests.support.sqs_servers import SqsServer
from tests.support.waiting import DEADLINE, wait_until

__all__ = ["QueueFunctions", "SqsEnvironment", "TriggerUnderTest"]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class TriggerUnderTest:
    """A trigger and its deliveries."""

    api: ControlProcess
    id: str

    def view(self) -> dict[str, Any]:
        """Return the trigger as the API returns it."""
        return self.api.get("triggers", self.id)

    def deliveries(self, status: str = "") -> list[dict[str, Any]]:
        """Return its delivery log, newest first."""
        path = f"/fnkit/v1/regions/fr-par/triggers/{self.id}/deliveries"
        found = self.api.request("GET", path, query={"limit": 1000, "status": status}).ok()["deliveries"]
        assert isinstance(found, list)
        return found

    def wait_for_deliveries(
        self, number: int, status: str = "succeeded", deadline: float = DEADLINE
    ) -> list[dict[str, Any]]:
        """Wait until the log has at least ``number`` deliveries with the status, and return them."""
        wait_until(
            lambda: len(self.deliveries(status)) >= number,
            deadline,
            what=f"{number} {status} deliveries among {self.deliveries()}",
        )
        return self.deliveries(status)

    def wait_for_attempts(self, body: str, number: int) -> None:
        """Wait until the log has ``number`` attempts for a message with this body."""
        wait_until(
            lambda: any(one["body"] == body and one["attempts"] == number for one in self.deliveries()),
            what=f"{number} attempts of {body} in {self.deliveries()}",
        )

    def wait_for(self, predicate: Callable[[dict[str, Any]], bool], deadline: float = DEADLINE) -> dict[str, Any]:
        """Wait until the predicate holds for the trigger, and return the trigger."""
        wait_until(lambda: predicate(self.view()), deadline, what=f"{self.view()}")
        return self.view()

    def replay(self, *ids: str) -> None:
        path = f"/fnkit/v1/regions/fr-par/triggers/{self.id}/replay"
        self.api.request("POST", path, {"ids": list(ids)}).ok()

    def delete(self) -> None:
        self.api.request("DELETE", f"{API}/triggers/{self.id}").ok()
        self.api.wait_until_deleted("triggers", self.id)


class QueueFunctions:
    """Creates functions whose responses the controller chooses, and triggers for them."""

    def __init__(self, platform: PlatformUnderTest, handlers: HandlerController) -> None:
        self.api = api_client(platform)
        self._handlers = handlers
        self._namespace = self.api.create_namespace("queues")["id"]
        self._number = 0
        self._shared_function = ""

    @property
    def shared_function(self) -> str:
        """A function for tests that need no settings of their own."""
        self._shared_function = self._shared_function or self.deploy_function()
        return self._shared_function

    def deploy_function(self, *, max_scale: int = 20, **settings: object) -> str:
        """Create and deploy a function; return its id."""
        self._number += 1
        made = self.api.create_function(
            self._namespace,
            f"handler-{self._number}",
            handler="handler.handle",
            min_scale=1,
            max_scale=max_scale,
            environment_variables={"CONTROLLER_URL": self._handlers.url},
            **settings,
        )
        deployed = self.api.deploy(made["id"], zip_archive({"handler.py": HANDLER}))
        assert deployed["status"] == "ready", deployed
        return str(made["id"])

    def create_trigger(self, function_id: str, **source: object) -> TriggerUnderTest:
        """Create a trigger of a function and wait until its status is final."""
        body = {"name": "jobs", "function_id": function_id, **source}
        made = self.api.request("POST", f"{API}/triggers", body).ok()
        self.api.wait_until_settled("triggers", made["id"])
        return TriggerUnderTest(self.api, str(made["id"]))


@dataclass
class SqsEnvironment:
    """The platform, the server and its proxy, and the triggers of one test."""

    platform: PlatformUnderTest
    handlers: HandlerController
    functions: QueueFunctions
    server: SqsServer
    proxy: SqsProxy
    client: Any
    triggers: list[TriggerUnderTest] = field(default_factory=list)

    def create_queue(self, suffix: str = "", **attributes: str) -> str:
        """Create a queue and return its name."""
        name = f"q{next(_numbers)}{suffix}"
        if suffix == ".fifo":
            attributes |= {"FifoQueue": "true"}
        self.client.create_queue(QueueName=name, Attributes=attributes)
        return name

    def queue_url(self, queue: str) -> str:
        return str(self.client.get_queue_url(QueueName=queue)["QueueUrl"])

    def create_queue_trigger(self, queue: str, function_id: str = "", **keys: str) -> TriggerUnderTest:
        """Create a trigger that consumes a queue through the proxy."""
        config = {
            "endpoint": self.proxy.url,
            "queue_url": self.queue_url(queue),
            "access_key": "AKID1",
            "secret_key": "s1",
        }
        return self.create_trigger(function_id, sqs_config={**config, **keys})

    def create_trigger(self, function_id: str = "", **source: object) -> TriggerUnderTest:
        """Create a trigger that is deleted after the test."""
        trigger = self.functions.create_trigger(function_id or self.functions.shared_function, **source)
        self.triggers.append(trigger)
        return trigger

    def send(self, queue: str, *bodies: str, **more: str) -> None:
        url = self.queue_url(queue)
        for number, body in enumerate(bodies):
            extra = {"MessageDeduplicationId": f"{body}-{number}"} if queue.endswith(".fifo") else {}
            self.client.send_message(QueueUrl=url, MessageBody=body, **extra, **more)

    def message_count(self, queue: str) -> int:
        """Return the number of visible and invisible messages in a queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.queue_url(queue), AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def wait_until_empty(self, queue: str) -> None:
        wait_until(lambda: self.message_count(queue) == 0, what=f"{queue} is empty")
