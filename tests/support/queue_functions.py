"""Functions with queue triggers on a real platform, made over its API, and what the platform says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.control_process import API, ControlProcess, api_of, archive
from tests.support.platform import PlatformUnderTest
from tests.support.recorder import HANDLER, Recorder
from tests.support.waiting import DEADLINE, wait_until

__all__ = ["QueueFunctions", "TriggerUnderTest"]


@dataclass(frozen=True, slots=True)
class TriggerUnderTest:
    """One trigger."""

    api: ControlProcess
    id: str

    def view(self) -> dict[str, Any]:
        """The API's object."""
        return self.api.get("triggers", self.id)

    def deliveries(self, status: str = "") -> list[dict[str, Any]]:
        """Its log, newest first."""
        path = f"/fnkit/v1/regions/fr-par/triggers/{self.id}/deliveries"
        found = self.api.request("GET", path, query={"limit": 1000, "status": status}).ok()["deliveries"]
        assert isinstance(found, list)
        return found

    def delivered(self, number: int, status: str = "succeeded", deadline: float = DEADLINE) -> list[dict[str, Any]]:
        """Its log once it holds so many of that status."""
        wait_until(
            lambda: len(self.deliveries(status)) >= number,
            deadline,
            what=f"{number} {status} deliveries among {self.deliveries()}",
        )
        return self.deliveries(status)

    def attempted(self, body: str, number: int) -> None:
        """Wait until the log says that a message of that body was tried so often."""
        wait_until(
            lambda: any(one["body"] == body and one["attempts"] == number for one in self.deliveries()),
            what=f"{number} attempts of {body} in {self.deliveries()}",
        )

    def until(self, predicate: Callable[[dict[str, Any]], bool], deadline: float = DEADLINE) -> dict[str, Any]:
        """The API's object once that is true of it."""
        wait_until(lambda: predicate(self.view()), deadline, what=f"{self.view()}")
        return self.view()

    def replay(self, *ids: str) -> None:
        path = f"/fnkit/v1/regions/fr-par/triggers/{self.id}/replay"
        self.api.request("POST", path, {"ids": list(ids)}).ok()

    def delete(self) -> None:
        self.api.request("DELETE", f"{API}/triggers/{self.id}").ok()
        self.api.wait_gone("triggers", self.id)


class QueueFunctions:
    """Makes functions whose handler reports to the recorder, and triggers for them."""

    def __init__(self, platform: PlatformUnderTest, recorder: Recorder) -> None:
        self.api = api_of(platform)
        self._recorder = recorder
        self._namespace = self.api.namespace("queues")["id"]
        self._number = 0
        self._usual = ""

    @property
    def usual(self) -> str:
        """A function for everybody."""
        self._usual = self._usual or self.function()
        return self._usual

    def function(self, *, max_scale: int = 20, **settings: object) -> str:
        """Create and deploy one; returns its id."""
        self._number += 1
        made = self.api.function(
            self._namespace,
            f"handler-{self._number}",
            handler="handler.handle",
            min_scale=1,
            max_scale=max_scale,
            environment_variables={"RECORDER": self._recorder.url},
            **settings,
        )
        deployed = self.api.deployed(made["id"], archive({"handler.py": HANDLER}))
        assert deployed["status"] == "ready", deployed
        return str(made["id"])

    def trigger(self, function_id: str, **source: object) -> TriggerUnderTest:
        """Create one on that function."""
        body = {"name": "jobs", "function_id": function_id, **source}
        made = self.api.request("POST", f"{API}/triggers", body).ok()
        self.api.settled("triggers", made["id"])
        return TriggerUnderTest(self.api, str(made["id"]))
