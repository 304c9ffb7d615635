"""SQS triggers while everything is killed: none lost, duplicates only where a crash explains them, groups in order.

``python -m tests.chaos.sqs [messages] [seconds between two blows] [moto|fauxqs]`` runs the long variant and prints
what it found; the suite runs a short one. Neither server keeps anything over its own death, so its connections are
cut instead: requests that are under way break, and for a second nobody gets through.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.control_process import API
from tests.support.processes import descendants
from tests.support.queue_platform import QueuePlatform, RecordedCall, queue_platform
from tests.support.sqs_proxy import SqsProxy, running_sqs_proxy
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import wait_until

__all__ = ["BLOWS", "Findings", "Scene", "run", "scene"]

BLOWS: Final = ("control", "data_plane", "instance", "connection")
_HANDLER: Final = "def respond(event):\n    time.sleep(0.002)\n    return 'ok'\n"
_HIDDEN: Final = "6"  # seconds: how long a message is away that died with its receiver
_CUT_SECONDS: Final = 1.0
_GROUPS: Final = 7
_DEADLINE: Final = 60.0
_LOG_DEADLINE: Final = 900.0  # a queue that is never seen empty is asked for ten minutes


@dataclass(slots=True)
class Findings:
    """lost: bodies that no handler ended with and no log keeps. unexplained: handled again without a blow between.

    disordered: groups whose messages came out of order. dead: given up, and kept in the log. log: how many of the
    lines that the delivery log keeps have which status; looked at in the long variant alone.
    """

    sent: int = 0
    blows: list[tuple[str, float]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repeated: int = 0
    unexplained: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    dead: int = 0
    log: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """For people."""
        blows = ", ".join(
            f"{number} × {name}" for name, number in sorted(Counter(n for n, _ in self.blows).items())
        )
        return [
            f"{self.sent} messages in {self.seconds:.0f} s; blows: {blows}",
            f"lost: {len(self.lost)}; dead, and kept: {self.dead}; groups out of order: {len(self.disordered)}",
            f"handled more than once: {self.repeated}, without a blow between: {len(self.unexplained)}",
            f"lines of the delivery log: {dict(self.log)}",
        ]


@dataclass(slots=True)
class Scene:
    """A platform, and a queue with and one without groups behind a proxy, each with its function and trigger."""

    platform: QueuePlatform
    proxy: SqsProxy
    client: Any
    functions: dict[str, str]
    triggers: dict[str, str]
    urls: dict[str, str]

    def send(self, queue: str, bodies: Sequence[str]) -> None:
        """Send, ten at a time; a body of a group begins with the group's name and a dash."""
        for first in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body, **_grouped(queue, body)}
                for number, body in enumerate(bodies[first : first + 10])
            ]
            assert not self.client.send_message_batch(QueueUrl=self.urls[queue], Entries=entries).get("Failed")

    def calls(self, queue: str, what: str = "begin") -> list[RecordedCall]:
        return self.platform.calls(self.functions[queue], what)

    def strike(self, blow: str) -> None:
        """Do it, and return when the platform is whole again or on its way there."""
        if blow == "connection":
            self.proxy.responses["*"] = None
            time.sleep(_CUT_SECONDS)
            del self.proxy.responses["*"]
        elif blow == "instance":
            self._kill_instances()
        else:
            self.platform.kill(blow)

    def _kill_instances(self) -> None:
        """Kill every process of the data plane that has none below it: handlers know other pids than we."""
        for pid in descendants(wait_until(lambda: self.platform.processes()["data_plane"])):
            if not descendants(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def is_done(self, expected: dict[str, list[str]]) -> bool:
        return all(self._ended(queue) >= set(bodies) for queue, bodies in expected.items())

    def _ended(self, queue: str) -> set[str]:
        dead = self.platform.deliveries(self.triggers[queue], status="dead", limit=1000)
        return {call.body for call in self.calls(queue, "end")} | {str(one["body"]) for one in dead}

    def statuses_at_rest(self) -> Counter[str]:
        """How many lines of the delivery log have which status; empty while any is under way."""
        lines = [one for trigger in self.triggers.values() for one in self.platform.deliveries(trigger, limit=1000)]
        found = Counter(str(one["status"]) for one in lines)
        return Counter() if found["pending"] else found

    def judge(self, findings: Findings, expected: dict[str, list[str]]) -> None:
        """Look at everything that handlers wrote down."""
        for queue, bodies in expected.items():
            findings.lost += sorted(set(bodies) - self._ended(queue))
            findings.dead += len(self.platform.deliveries(self.triggers[queue], status="dead", limit=1000))
            begun: dict[str, list[float]] = {}
            for call in self.calls(queue):
                begun.setdefault(call.body, []).append(call.time)
            for body, moments in begun.items():
                findings.repeated += len(moments) > 1
                for before, after in itertools.pairwise(moments):
                    if not any(before - 0.1 <= at <= after for _, at in findings.blows):
                        findings.unexplained.append(body)
        numbers: dict[str, int] = {}
        for call in self.calls("groups.fifo"):
            group, number = call.body.split("-")
            if int(number) < numbers.get(group, 0):
                findings.disordered.append(call.body)
            numbers[group] = int(number)


def _grouped(queue: str, body: str) -> dict[str, str]:
    if not queue.endswith(".fifo"):
        return {}
    return {"MessageGroupId": body.partition("-")[0], "MessageDeduplicationId": body}


@contextmanager
def scene(folder: Path, kind: str) -> Iterator[Scene]:
    """Set it up, and take it down whatever happens."""
    with (
        queue_platform(folder) as platform,
        running_sqs(kind) as server,
        running_sqs_proxy(server.endpoint) as proxy,
    ):
        client, functions, triggers, urls = server.client(), {}, {}, {}
        for queue in ("plain", "groups.fifo"):
            attributes = {"VisibilityTimeout": _HIDDEN} | ({"FifoQueue": "true"} if "." in queue else {})
            urls[queue] = client.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
            functions[queue] = platform.deploy(_HANDLER, name=queue.partition(".")[0], max_scale=10)
            keys = {"endpoint": proxy.url, "queue_url": urls[queue], "access_key": "A", "secret_key": "S"}
            body = {"name": "chaos", "function_id": functions[queue], "sqs_config": keys}
            triggers[queue] = str(platform.api.request("POST", f"{API}/triggers", body).ok()["id"])
        yield Scene(platform, proxy, client, functions, triggers, urls)


def run(stage: Scene, messages: int, blows: Sequence[str], every: float) -> Findings:
    """Send so many to each queue, strike now and then, and look what became of them."""
    findings, began = Findings(sent=2 * messages), time.monotonic()
    grouped = [f"g{number % _GROUPS}-{number // _GROUPS}" for number in range(messages)]
    expected = {"plain": [f"m{number}" for number in range(messages)], "groups.fifo": grouped}
    share = max(1, messages // (len(blows) + 1))
    for turn, blow in enumerate((*blows, "")):
        end, seen = messages if not blow else (turn + 1) * share, len(stage.calls("plain"))
        for queue, bodies in expected.items():
            stage.send(queue, bodies[turn * share : end])
        if not blow:
            break
        _wait_for_more(stage, seen)
        time.sleep(every)
        findings.blows.append((blow, time.time()))
        stage.strike(blow)
        findings.blows.append((f"end of {blow}", time.time()))
    wait_until(lambda: _is_done(stage, expected), _DEADLINE, what="every message handled or kept")
    findings.seconds = time.monotonic() - began
    stage.judge(findings, expected)
    findings.blows = [one for one in findings.blows if not one[0].startswith("end")]
    return findings


def _wait_for_more(stage: Scene, seen: int) -> None:
    wait_until(lambda: len(stage.calls("plain")) > seen, _DEADLINE, what="a message under way")


def _is_done(stage: Scene, expected: dict[str, list[str]]) -> bool:
    with suppress(OSError):  # control is being started again
        return stage.is_done(expected)
    return False


def main(arguments: Sequence[str]) -> int:
    """The long variant."""
    messages = int(arguments[0]) if arguments else 5000
    every = float(arguments[1]) if len(arguments) > 1 else 1.0
    kind = arguments[2] if len(arguments) > 2 else "fauxqs"
    blows = list(itertools.islice(itertools.cycle(BLOWS), max(len(BLOWS), messages // 200)))
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), kind) as stage:
        findings = run(stage, messages, blows, every)
        wait_until(stage.statuses_at_rest, _LOG_DEADLINE, what="an end of every line of the log")
        findings.log = stage.statuses_at_rest()
    sys.stdout.write("\n".join((f"SQS triggers at {kind}:", *findings.lines(), "")))
    return 1 if findings.lost or findings.unexplained or findings.disordered or findings.log["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
