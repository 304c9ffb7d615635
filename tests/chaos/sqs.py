"""SQS triggers while processes are killed and connections are cut.

No message may be lost, duplicates may only follow a fault, and message groups stay ordered.
``python -m tests.chaos.sqs [messages] [seconds between faults] [moto|fauxqs]`` runs for minutes and prints the
results; the test suite runs a short variant. The SQS servers keep nothing across a restart, so instead of killing
them the proxy breaks all connections for a second.
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
from tests.support.queue_platform import QueuePlatform, queue_platform
from tests.support.recording_handlers import RecordedCall
from tests.support.sqs_proxy import SqsProxy, running_sqs_proxy
from tests.support.sqs_servers import running_sqs
from tests.support.waiting import wait_until

__all__ = ["FAULTS", "ChaosResult", "SqsChaos", "running_sqs_chaos"]

FAULTS: Final = ("control", "data_plane", "instance", "connection")
_HANDLER: Final = "def respond(event):\n    time.sleep(0.002)\n    return 'ok'\n"
_VISIBILITY_TIMEOUT: Final = "6"  # seconds until a message is redelivered after its receiver was killed
_OUTAGE_SECONDS: Final = 1.0
_GROUPS: Final = 7
_DEADLINE: Final = 60.0
_LOG_DEADLINE: Final = 900.0  # the queue may be polled for ten minutes before it is seen empty


@dataclass(slots=True)
class ChaosResult:
    """What happened to the messages of one run.

    Attributes:
        sent: The number of messages.
        faults: The name and the time of the begin and the end of each fault.
        lost: Bodies that no handler finished and that are not dead in the delivery log.
        repeated: The number of bodies that were handled more than once.
        unexplained: Bodies that were handled again without a fault in between.
        disordered: Bodies that were handled out of order within their group.
        dead: The number of dead messages in the delivery log.
        log: Entries of the delivery log by status; only of the long variant.
        seconds: The duration of the run.
    """

    sent: int = 0
    faults: list[tuple[str, float]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repeated: int = 0
    unexplained: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    dead: int = 0
    log: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """Return the result as text."""
        faults = ", ".join(
            f"{number} × {name}" for name, number in sorted(Counter(name for name, _ in self.faults).items())
        )
        return [
            f"{self.sent} messages in {self.seconds:.0f} s; faults: {faults}",
            f"lost: {len(self.lost)}; dead, in the delivery log: {self.dead}; out of order: {len(self.disordered)}",
            f"handled more than once: {self.repeated}, without a fault in between: {len(self.unexplained)}",
            f"entries of the delivery log: {dict(self.log)}",
        ]


@dataclass(slots=True)
class SqsChaos:
    """A platform with a standard queue and a FIFO queue behind a proxy, each with a function and a trigger."""

    platform: QueuePlatform
    proxy: SqsProxy
    client: Any
    functions: dict[str, str]
    triggers: dict[str, str]
    urls: dict[str, str]

    def run(self, messages: int, faults: Sequence[str], every: float) -> ChaosResult:
        """Send the messages to each queue, inject the faults meanwhile, and check what was handled.

        Args:
            messages: The number of messages for each queue.
            faults: Names of ``FAULTS``.
            every: Seconds before each fault, after a message was handled.
        """
        result, began = ChaosResult(sent=2 * messages), time.monotonic()
        grouped = [f"g{number % _GROUPS}-{number // _GROUPS}" for number in range(messages)]
        expected = {"plain": [f"m{number}" for number in range(messages)], "groups.fifo": grouped}
        share = max(1, messages // (len(faults) + 1))
        for turn, fault in enumerate((*faults, "")):
            end, handled = messages if not fault else (turn + 1) * share, len(self._calls("plain"))
            for queue, bodies in expected.items():
                self._send(queue, bodies[turn * share : end])
            if not fault:
                break
            self._wait_for_more_calls(handled)
            time.sleep(every)
            result.faults.append((fault, time.time()))
            self._inject(fault)
            result.faults.append((f"end of {fault}", time.time()))
        wait_until(lambda: self._is_done(expected), _DEADLINE, what="every message is handled or dead")
        result.seconds = time.monotonic() - began
        self._check(result, expected)
        result.faults = [one for one in result.faults if not one[0].startswith("end")]
        return result

    def final_log_statuses(self) -> Counter[str]:
        """Return the entries of the delivery log by status; none while a delivery is pending."""
        entries = [
            one for trigger in self.triggers.values() for one in self.platform.deliveries(trigger, limit=1000)
        ]
        statuses = Counter(str(one["status"]) for one in entries)
        return Counter() if statuses["pending"] else statuses

    def _send(self, queue: str, bodies: Sequence[str]) -> None:
        """Send messages in batches of ten; the part of a body before the dash is its group."""
        for first in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body, **_group_attributes(queue, body)}
                for number, body in enumerate(bodies[first : first + 10])
            ]
            assert not self.client.send_message_batch(QueueUrl=self.urls[queue], Entries=entries).get("Failed")

    def _calls(self, queue: str, phase: str = "begin") -> list[RecordedCall]:
        return self.platform.calls(self.functions[queue], phase)

    def _wait_for_more_calls(self, number: int) -> None:
        wait_until(lambda: len(self._calls("plain")) > number, _DEADLINE, what="another message is handled")

    def _inject(self, fault: str) -> None:
        """Inject a fault. The platform may still be recovering afterwards."""
        if fault == "connection":
            self.proxy.responses["*"] = None
            time.sleep(_OUTAGE_SECONDS)
            del self.proxy.responses["*"]
        elif fault == "instance":
            self._kill_instances()
        else:
            self.platform.kill(fault)

    def _kill_instances(self) -> None:
        """Kill the data plane's descendants without children. Handlers see the pids of their own namespace."""
        for pid in descendants(wait_until(lambda: self.platform.processes()["data_plane"])):
            if not descendants(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _is_done(self, expected: dict[str, list[str]]) -> bool:
        with suppress(OSError):  # control may be restarting
            return all(self._finished(queue) >= set(bodies) for queue, bodies in expected.items())
        return False

    def _finished(self, queue: str) -> set[str]:
        dead = self.platform.deliveries(self.triggers[queue], status="dead", limit=1000)
        return {call.body for call in self._calls(queue, "end")} | {str(one["body"]) for one in dead}

    def _check(self, result: ChaosResult, expected: dict[str, list[str]]) -> None:
        """Find lost, repeated and disordered messages among the recorded calls."""
        for queue, bodies in expected.items():
            result.lost += sorted(set(bodies) - self._finished(queue))
            result.dead += len(self.platform.deliveries(self.triggers[queue], status="dead", limit=1000))
            begins: dict[str, list[float]] = {}
            for call in self._calls(queue):
                begins.setdefault(call.body, []).append(call.time)
            for body, times in begins.items():
                result.repeated += len(times) > 1
                for before, after in itertools.pairwise(times):
                    if not any(before - 0.1 <= at <= after for _, at in result.faults):
                        result.unexplained.append(body)
        numbers: dict[str, int] = {}
        for call in self._calls("groups.fifo"):
            group, number = call.body.split("-")
            if int(number) < numbers.get(group, 0):
                result.disordered.append(call.body)
            numbers[group] = int(number)


def _group_attributes(queue: str, body: str) -> dict[str, str]:
    if not queue.endswith(".fifo"):
        return {}
    return {"MessageGroupId": body.partition("-")[0], "MessageDeduplicationId": body}


@contextmanager
def running_sqs_chaos(folder: Path, kind: str) -> Iterator[SqsChaos]:
    """Run a platform, an SQS server of this kind and a proxy, with queues, functions and triggers."""
    with (
        queue_platform(folder) as platform,
        running_sqs(kind) as server,
        running_sqs_proxy(server.endpoint) as proxy,
    ):
        client, functions, triggers, urls = server.client(), {}, {}, {}
        for queue in ("plain", "groups.fifo"):
            attributes = {"VisibilityTimeout": _VISIBILITY_TIMEOUT}
            attributes |= {"FifoQueue": "true"} if "." in queue else {}
            urls[queue] = client.create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
            functions[queue] = platform.deploy(_HANDLER, name=queue.partition(".")[0], max_scale=10)
            config = {"endpoint": proxy.url, "queue_url": urls[queue], "access_key": "A", "secret_key": "S"}
            body = {"name": "chaos", "function_id": functions[queue], "sqs_config": config}
            triggers[queue] = str(platform.api.request("POST", f"{API}/triggers", body).ok()["id"])
        yield SqsChaos(platform, proxy, client, functions, triggers, urls)


def main(arguments: Sequence[str]) -> int:
    """Run the long variant; return 1 if it found a violation."""
    messages = int(arguments[0]) if arguments else 5000
    every = float(arguments[1]) if len(arguments) > 1 else 1.0
    kind = arguments[2] if len(arguments) > 2 else "fauxqs"
    faults = list(itertools.islice(itertools.cycle(FAULTS), max(len(FAULTS), messages // 200)))
    with tempfile.TemporaryDirectory() as folder, running_sqs_chaos(Path(folder), kind) as chaos:
        result = chaos.run(messages, faults, every)
        wait_until(chaos.final_log_statuses, _LOG_DEADLINE, what="no delivery is pending")
        result.log = chaos.final_log_statuses()
    sys.stdout.write("\n".join((f"SQS triggers at {kind}:", *result.lines(), "")))
    return 1 if result.lost or result.unexplained or result.disordered or result.log["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
