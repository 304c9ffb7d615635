"""What happens to the platform while it is called: one random action after the other, told to the oracle first."""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections.abc import Callable
from typing import Any, Final

from tests.soak.kills import Kills
from tests.soak.oracle import GONE, THERE, Function, Oracle
from tests.soak.subject import Answer, Subject

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
BROKEN: Final = "import os\nos._exit(7)\n"


class Actions:
    """Acts on the platform. ``log`` is every action with its moment: with the seed, the way to do it again."""

    def __init__(self, subject: Subject, oracle: Oracle, seed: int) -> None:
        self.log: list[str] = []
        self.counts: dict[str, int] = {}
        self.functions: list[Function] = []
        self._subject = subject
        self._oracle = oracle
        self._random = random.Random(seed)  # noqa: S311  (to be repeated, not to be secret)
        self._token_ids: dict[str, str] = {}
        self._kills = Kills(subject, oracle, self._random, self._note)
        self._began = time.monotonic()
        self._versions = 0
        self._namespace = str(
            self._insist("POST", "/namespaces", {"name": "soak", "project_id": subject.project_id})["id"]
        )
        self._wait("/namespaces/" + self._namespace)

    # Choosing

    def one(self) -> None:
        """Do one of them."""
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.create, 3), (self.deploy, 10), (self.deploy_broken, 2), (self.delete, 2), (self.change_scale, 3),
            (self.change_privacy, 3), (self.change_note, 3), (self.change_memory, 2), (self.make_token, 3),
            (self.delete_token, 2), (self.flood, 1), (self.advance, 2), (self._kills.instance, 8),
            (self._kills.zygote, 3),
            (self._kills.data_plane, 2), (self._kills.control, 3), (self._kills.pause, 4), (self._kills.blanks, 5),
            (self.kill_supervisor, 1),
        ]  # fmt: skip
        actions, weights = zip(*kinds, strict=True)
        self._random.choices(actions, weights)[0]()

    def _note(self, kind: str, text: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.log.append(f"{time.monotonic() - self._began:8.3f} {kind}: {text}")

    def _any(self) -> Function | None:
        return self._random.choice(self.functions) if self.functions else None

    # Asking, whatever is down

    def _insist(
        self, method: str, path: str, body: object = None, *, allowed: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Ask until there is an answer. One that is no success, and not allowed, is a fault."""
        end = time.monotonic() + _DEADLINE
        while True:
            try:
                answer = self._subject.ask(method, path, body)
            except (OSError, http.client.HTTPException, ValueError):
                answer = Answer(0, {})
            if 200 <= answer.status < 300 or answer.status in allowed:
                return answer.document
            busy = answer.status in (0, 409, 500, 502, 503) and (answer.status != 500)
            if not busy or time.monotonic() > end:
                self._oracle.fault(f"{method} {path} {body} → {answer.status} {answer.document}")
                return answer.document
            time.sleep(0.05)

    def _wait(self, path: str) -> str:
        """Wait until the object is in a state that lasts; ``gone`` when it is not there."""
        end = time.monotonic() + _DEADLINE
        while True:
            document = self._insist("GET", path, allowed=(404,))
            status = str(document.get("status", "gone"))
            if status in ("ready", "error", "gone", "created"):
                return status
            if time.monotonic() > end:
                self._oracle.fault(f"{path} is {status} for {_DEADLINE:g} s")
                return status
            time.sleep(0.01)

    # Functions

    def create(self) -> None:
        """Make a function and deploy its first version."""
        if len(self.functions) >= _MAX_FUNCTIONS:
            return
        self._versions += 1
        name = f"f{self._versions}"
        self._note("create", name)
        body = {"name": name, "namespace_id": self._namespace, "runtime": "python311", "handler": "handler.handle",
                "memory_limit": 128, "max_scale": 3, "min_scale": self._random.choice((0, 1))}  # fmt: skip
        document = self._insist("POST", "/functions", body)
        function = Function(name, str(document["id"]), str(document["domain_name"]))
        function.begin(function.presence, GONE)
        function.begin(function.access, "public")
        function.begin(function.presence, THERE)
        self._deploy(function)
        self.functions = [*self.functions, function]

    def deploy(self) -> None:
        """Deploy a new version; sometimes something is killed before it is ready."""
        if (function := self._any()) is not None:
            self._deploy(function)

    def deploy_in_peace(self) -> None:
        """Deploy a new version, and nothing else."""
        if (function := self._any()) is not None:
            self._deploy(function, in_peace=True)

    def _deploy(self, function: Function, *, in_peace: bool = False) -> None:
        self._versions += 1
        self._note("deploy", f"{function.name} version {self._versions}")
        function.begin(function.versions, self._versions)
        self._subject_upload(function, SOURCE.format(version=self._versions))
        self._insist("POST", f"/functions/{function.id}/deploy", {})
        if not in_peace and self.functions and self._random.random() < 0.2:
            self._random.choice(
                (
                    self._kills.instance,
                    self._kills.zygote,
                    self._kills.control,
                    self._kills.blanks,
                    self.kill_supervisor,
                )
            )()
        if self._settled(function):
            function.settle(function.versions)
            function.settle(function.presence)
        elif self._was_disturbed():  # the start was killed: what serves now is the version before, or this one
            self._note("deploy cut short", function.name)
        else:
            self._oracle.fault(f"version {self._versions} of {function.name} could not be deployed")

    def deploy_broken(self) -> None:
        """Deploy what cannot start: the version before serves on."""
        if (function := self._any()) is None:
            return
        self._note("deploy broken", function.name)
        self._subject_upload(function, BROKEN)
        self._insist("POST", f"/functions/{function.id}/deploy", {})
        if self._settled(function):
            self._oracle.fault(f"a broken version of {function.name} is ready")
        self._deploy(function)

    def _subject_upload(self, function: Function, source: str) -> None:
        end = time.monotonic() + _DEADLINE
        while True:
            try:
                self._subject.upload(function.id, source)
            except (OSError, http.client.HTTPException, KeyError, ValueError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def _settled(self, function: Function) -> bool:
        return self._wait(f"/functions/{function.id}") == "ready"

    def _was_disturbed(self) -> bool:
        """Whether something was killed that a deploy may need. A blank is nothing of the kind."""
        return any(time.monotonic() - one.since < 20 for one in self._oracle.disturbances if one.kind != "blank")

    def delete(self) -> None:
        """Remove a function."""
        function = self._any()
        if function is None or len(self.functions) < 3:
            return
        self._note("delete", function.name)
        function.begin(function.presence, GONE)
        self._insist("DELETE", f"/functions/{function.id}", allowed=(404,))
        self._wait(f"/functions/{function.id}")
        function.settle(function.presence)
        self.functions = [one for one in self.functions if one is not function]

    def _change(self, function: Function, change: dict[str, object]) -> None:
        self._note(f"change {next(iter(change))}", f"{function.name} {change}")
        self._insist("PATCH", f"/functions/{function.id}", {**change, "redeploy": True})
        if not self._settled(function) and not self._was_disturbed():
            self._oracle.fault(f"{function.name} with {change} could not be deployed")

    def change_scale(self) -> None:
        """Give it more or fewer instances."""
        if (function := self._any()) is not None:
            scale = self._random.choice((1, 2, 4))
            self._change(function, {"max_scale": scale, "min_scale": self._random.choice((0, 1))})

    def change_memory(self) -> None:
        """Give it more or less memory."""
        if (function := self._any()) is not None:
            self._change(function, {"memory_limit": self._random.choice((128, 256))})

    def change_note(self) -> None:
        """Change its environment."""
        if (function := self._any()) is not None:
            self._change(function, {"environment_variables": {"NOTE": str(self._versions)}})

    def change_privacy(self) -> None:
        """Let everybody call it, or those with a token."""
        if (function := self._any()) is not None:
            wanted = self._random.choice(("public", "private"))
            function.begin(function.access, wanted)
            self._change(function, {"privacy": wanted})
            if self._settled(function):
                function.settle(function.access)

    def make_token(self) -> None:
        """Make a token of a function."""
        if (function := self._any()) is not None:
            self._note("make token", function.name)
            document = self._insist("POST", "/tokens", {"function_id": function.id})
            if "token" in document:
                function.begin(function.tokens, document["token"])
                function.tokens[-1].since = time.monotonic()
                self._token_ids[str(document["token"])] = str(document["id"])

    def delete_token(self) -> None:
        """Delete one; whoever holds it may be refused from now on."""
        function = self._any()
        if function is None or not (valid := [span for span in function.tokens if span.until is None]):
            return
        span = self._random.choice(valid)
        self._note("delete token", function.name)
        span.until = time.monotonic()
        self._insist("DELETE", f"/tokens/{self._token_ids[str(span.value)]}", allowed=(404,))

    def kill_supervisor(self) -> None:
        """Kill the first process and start the platform again: every function is still there."""
        self._kills.supervisor()
        for function in self.functions:
            if self._wait(f"/functions/{function.id}") == "gone":
                self._oracle.fault(f"{function.name} was lost with the supervisor")

    def flood(self) -> None:
        """Let a handler print more than a minute's lines."""
        if (function := self._any()) is None:
            return
        self._note("flood", function.name)
        connection = http.client.HTTPConnection(*self._subject.gateway, timeout=_DEADLINE)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/?flood=1", headers={"Host": function.host})
            connection.getresponse().read()

    def advance(self) -> None:
        """Let time pass: instances that are idle end."""
        seconds = self._random.choice((5, 40, 1000))
        self._note("advance", f"{seconds} s")
        self._insist("POST", "/fnkit/v1/clock", {"advance": seconds})
