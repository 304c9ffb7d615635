"""Random actions on the platform while it is called; each is reported to the oracle before."""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections.abc import Callable
from typing import Any, Final

from tests.soak.oracle import ABSENT, PRESENT, FunctionHistory, Oracle
from tests.soak.platform import ApiResponse, SoakPlatform
from tests.soak.process_killer import ProcessKiller
from tests.support.waiting import wait_until

__all__ = ["Actions"]

_MAX_FUNCTIONS: Final = 5
_DEADLINE: Final = 60.0
SOURCE: Final = """
import json, os, sys, time

def handle(event, context):
    ask = event["queryStringParameters"]
    if ask.get("flood"):
        for number in range(40000):
            sys.stdout.write("%d\\n" % number)
    time.sleep(int(ask.get("pause", 0)) / 1000)
    return {{"version": {version}, "name": context["functionName"], "nonce": ask.get("nonce"),
             "note": os.environ.get("NOTE", "")}}
"""
BROKEN_SOURCE: Final = "import os\nos._exit(7)\n"


class Actions:
    """Runs actions. ``log`` has every action with its time; the seed repeats them."""

    def __init__(self, platform: SoakPlatform, oracle: Oracle, seed: int) -> None:
        self.log: list[str] = []
        self.counts: dict[str, int] = {}
        self.functions: list[FunctionHistory] = []
        self._platform = platform
        self._oracle = oracle
        self._random = random.Random(seed)  # noqa: S311  (to be repeated, not to be secret)
        self._token_ids: dict[str, str] = {}
        self._killer = ProcessKiller(platform, oracle, self._random, self._record)
        self._began = time.monotonic()
        self._versions = 0
        self._namespace = str(
            self._request("POST", "/namespaces", {"name": "soak", "project_id": platform.project_id})["id"]
        )
        self._wait_until_settled("/namespaces/" + self._namespace)

    # Selection

    def run_random_action(self) -> None:
        """Run one random action."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.create, 3), (self.deploy, 10), (self.deploy_broken, 2), (self.delete, 2), (self.change_scale, 3),
            (self.change_privacy, 3), (self.change_environment, 3), (self.change_memory, 2), (self.make_token, 3),
            (self.delete_token, 2), (self.flood, 1), (self.advance, 2), (self._killer.kill_instance, 8),
            (self._killer.kill_zygote, 3), (self._killer.kill_data_plane, 2), (self._killer.kill_control, 3),
            (self._killer.pause_process, 4), (self._killer.kill_prewarmed_workers, 5), (self.kill_supervisor, 1),
        ]  # fmt: skip
        actions, weights = zip(*kinds, strict=True)
        self._random.choices(actions, weights)[0]()

    def _record(self, kind: str, text: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.log.append(f"{time.monotonic() - self._began:8.3f} {kind}: {text}")

    def _random_function(self) -> FunctionHistory | None:
        return self._random.choice(self.functions) if self.functions else None

    # Requests that succeed in spite of restarts

    def _request(
        self, method: str, path: str, body: object = None, *, allowed: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Send a request until it gets a response. A status that is no success, and not allowed, is a fault."""
        response = ApiResponse(0, {})

        def is_final() -> bool:
            nonlocal response
            try:
                response = self._platform.request(method, path, body)
            except (OSError, http.client.HTTPException, ValueError):
                response = ApiResponse(0, {})
            return response.status not in (0, 409, 502, 503) or response.status in allowed

        with contextlib.suppress(AssertionError):
            wait_until(is_final, _DEADLINE)
        if not 200 <= response.status < 300 and response.status not in allowed:
            self._oracle.add_fault(f"{method} {path} {body} → {response.status} {response.document}")
        return response.document

    def _wait_until_settled(self, path: str) -> str:
        """Wait until a resource has a final status, and return it; ``gone`` if the resource does not exist."""
        status = ""

        def is_settled() -> bool:
            nonlocal status
            status = str(self._request("GET", path, allowed=(404,)).get("status", "gone"))
            return status in ("ready", "error", "gone", "created")

        try:
            wait_until(is_settled, _DEADLINE)
        except AssertionError:
            self._oracle.add_fault(f"{path} was {status} for {_DEADLINE:g} s")
        return status

    # Functions

    def create(self) -> None:
        """Create a function and deploy its first version."""
        if len(self.functions) >= _MAX_FUNCTIONS:
            return
        self._versions += 1
        name = f"f{self._versions}"
        self._record("create", name)
        body = {"name": name, "namespace_id": self._namespace, "runtime": "python311", "handler": "handler.handle",
                "memory_limit": 128, "max_scale": 3, "min_scale": self._random.choice((0, 1))}  # fmt: skip
        document = self._request("POST", "/functions", body)
        function = FunctionHistory(name, str(document["id"]), str(document["domain_name"]))
        function.open(function.presence, ABSENT)
        function.open(function.access, "public")
        function.open(function.presence, PRESENT)
        self._deploy(function)
        self.functions = [*self.functions, function]

    def deploy(self) -> None:
        """Deploy a new version; sometimes a process is killed meanwhile."""
        if (function := self._random_function()) is not None:
            self._deploy(function)

    def deploy_undisturbed(self) -> None:
        """Deploy a new version without a kill."""
        if (function := self._random_function()) is not None:
            self._deploy(function, undisturbed=True)

    def _deploy(self, function: FunctionHistory, *, undisturbed: bool = False) -> None:
        self._versions += 1
        self._record("deploy", f"{function.name} version {self._versions}")
        function.open(function.versions, self._versions)
        self._upload(function, SOURCE.format(version=self._versions))
        self._request("POST", f"/functions/{function.id}/deploy", {})
        if not undisturbed and self.functions and self._random.random() < 0.2:
            self._random.choice(
                (
                    self._killer.kill_instance,
                    self._killer.kill_zygote,
                    self._killer.kill_control,
                    self._killer.kill_prewarmed_workers,
                    self.kill_supervisor,
                )
            )()
        if self._is_ready(function):
            function.close_earlier(function.versions)
            function.close_earlier(function.presence)
        elif self._is_disturbed():  # the start was killed: the earlier or this version serves
            self._record("interrupted deploy", function.name)
        else:
            self._oracle.add_fault(f"version {self._versions} of {function.name} could not be deployed")

    def deploy_broken(self) -> None:
        """Deploy a version that cannot start: the earlier version must keep serving."""
        if (function := self._random_function()) is None:
            return
        self._record("deploy broken", function.name)
        self._upload(function, BROKEN_SOURCE)
        self._request("POST", f"/functions/{function.id}/deploy", {})
        if self._is_ready(function):
            self._oracle.add_fault(f"a broken version of {function.name} is ready")
        self._deploy(function)

    def _upload(self, function: FunctionHistory, source: str) -> None:
        def is_uploaded() -> bool:
            try:
                self._platform.upload(function.id, source)
            except (OSError, http.client.HTTPException, KeyError, ValueError):
                return False
            return True

        wait_until(is_uploaded, _DEADLINE, what=f"the code of {function.name} is uploaded")

    def _is_ready(self, function: FunctionHistory) -> bool:
        return self._wait_until_settled(f"/functions/{function.id}") == "ready"

    def _is_disturbed(self) -> bool:
        """Return whether a process that deploys depend on was disturbed recently; pre-warmed workers are not."""
        return any(
            time.monotonic() - one.start < 20
            for one in self._oracle.disturbances
            if one.kind != "pre-warmed worker"
        )

    def delete(self) -> None:
        """Delete a function."""
        function = self._random_function()
        if function is None or len(self.functions) < 3:
            return
        self._record("delete", function.name)
        function.open(function.presence, ABSENT)
        self._request("DELETE", f"/functions/{function.id}", allowed=(404,))
        self._wait_until_settled(f"/functions/{function.id}")
        function.close_earlier(function.presence)
        self.functions = [one for one in self.functions if one is not function]

    def _change(self, function: FunctionHistory, change: dict[str, object]) -> None:
        self._record(f"change {next(iter(change))}", f"{function.name} {change}")
        self._request("PATCH", f"/functions/{function.id}", {**change, "redeploy": True})
        if not self._is_ready(function) and not self._is_disturbed():
            self._oracle.add_fault(f"{function.name} with {change} could not be deployed")

    def change_scale(self) -> None:
        """Change the number of instances of a function."""
        if (function := self._random_function()) is not None:
            scale = self._random.choice((1, 2, 4))
            self._change(function, {"max_scale": scale, "min_scale": self._random.choice((0, 1))})

    def change_memory(self) -> None:
        """Change the memory of a function."""
        if (function := self._random_function()) is not None:
            self._change(function, {"memory_limit": self._random.choice((128, 256))})

    def change_environment(self) -> None:
        """Change the environment of a function."""
        if (function := self._random_function()) is not None:
            self._change(function, {"environment_variables": {"NOTE": str(self._versions)}})

    def change_privacy(self) -> None:
        """Make a function public or private."""
        if (function := self._random_function()) is not None:
            privacy = self._random.choice(("public", "private"))
            function.open(function.access, privacy)
            self._change(function, {"privacy": privacy})
            if self._is_ready(function):
                function.close_earlier(function.access)

    def make_token(self) -> None:
        """Create a token of a function."""
        if (function := self._random_function()) is not None:
            self._record("make token", function.name)
            document = self._request("POST", "/tokens", {"function_id": function.id})
            if "token" in document:
                function.open(function.tokens, document["token"])
                function.tokens[-1].start = time.monotonic()
                self._token_ids[str(document["token"])] = str(document["id"])

    def delete_token(self) -> None:
        """Delete a token; requests with it may be rejected from now on."""
        function = self._random_function()
        if function is None or not (valid := [interval for interval in function.tokens if interval.end is None]):
            return
        interval = self._random.choice(valid)
        self._record("delete token", function.name)
        interval.end = time.monotonic()
        self._request("DELETE", f"/tokens/{self._token_ids[str(interval.value)]}", allowed=(404,))

    def kill_supervisor(self) -> None:
        """Kill the supervisor and restart the platform: every function must still exist."""
        self._killer.kill_supervisor()
        for function in self.functions:
            if self._wait_until_settled(f"/functions/{function.id}") == "gone":
                self._oracle.add_fault(f"{function.name} was lost when the supervisor was killed")

    def flood(self) -> None:
        """Make a handler print more lines than the limit per minute."""
        if (function := self._random_function()) is None:
            return
        self._record("flood", function.name)
        connection = http.client.HTTPConnection(*self._platform.gateway, timeout=_DEADLINE)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/?flood=1", headers={"Host": function.host})
            connection.getresponse().read()

    def advance(self) -> None:
        """Advance the clock, which scales idle instances down."""
        seconds = self._random.choice((5, 40, 1000))
        self._record("advance", f"{seconds} s")
        self._request("POST", "/fnkit/v1/clock", {"advance": seconds})
