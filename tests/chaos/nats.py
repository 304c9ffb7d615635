"""NATS triggers under load while the processes that carry the messages are killed.

``python -m tests.chaos.nats [--messages N] [--seconds S] [--rounds N] [--seed N]`` runs for minutes; the test suite
runs a short variant.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nats.errors import Error
from nats.js import JetStreamContext

from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform
from tests.support.waiting import wait_until, wait_until_async

__all__ = ["KILL_TARGETS", "ChaosResult", "NatsChaos", "main"]

KILL_TARGETS = ("data_plane", "instance", "control", "nats")
_HANDLER = "def respond(event):\n    time.sleep(0.005)\n    return 'ok'\n"
_REDELIVERY_WINDOW = 3.0
"""Seconds before a kill, and after the recovery from it, in which a handled message may be redelivered."""


@dataclass
class ChaosResult:
    """What happened to the messages of one run.

    Attributes:
        published: Bodies that the broker accepted.
        handled: How often a handler finished each body.
        kills: The target and the time of each kill.
        unexplained: Bodies that were handled again without a kill nearby.
        pending: Messages at the broker that are not delivered, and not acknowledged, at the end.
        log: Entries of the delivery log by status.
    """

    published: set[str] = field(default_factory=set)
    handled: Counter[str] = field(default_factory=Counter)
    kills: list[tuple[str, float]] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    pending: tuple[int, int] = (-1, -1)
    log: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> set[str]:
        """Bodies that the broker accepted and no handler finished."""
        return self.published - self.handled.keys()

    @property
    def duplicates(self) -> int:
        """How often a handled message was handled again."""
        return sum(number - 1 for number in self.handled.values())

    def __str__(self) -> str:
        """Return one line with the numbers."""
        kills = Counter(target for target, _ in self.kills)
        return (
            f"{len(self.published)} messages, {len(self.lost)} lost, {self.duplicates} handled again "
            f"({len(self.unexplained)} of them unexplained), kills: {dict(kills)}, left at the broker: "
            f"{self.pending}, entries of the delivery log: {dict(self.log)}"
        )


class NatsChaos:
    """One run on a platform with an accelerated clock."""

    def __init__(self, platform: QueuePlatform, seed: int) -> None:
        self._platform = platform
        self._random = random.Random(seed)  # noqa: S311  chooses instances to kill
        self._function = platform.deploy(_HANDLER, max_scale=10, memory=128)
        self._result = ChaosResult()
        self._outages: list[tuple[float, float]] = []  # from each kill until the platform has recovered

    async def run(self, messages: int, seconds: float, targets: tuple[str, ...]) -> ChaosResult:
        """Publish the messages at an even rate, and kill the targets in order at even intervals meanwhile."""
        async with connected_client(self._platform.url) as (_, stream):
            await stream.add_stream(name="CHAOS", subjects=["chaos"])
            trigger = await asyncio.to_thread(self._platform.create_listening_trigger, self._function, "chaos")
            killing = asyncio.create_task(self._kill(seconds, targets))
            await self._publish(stream, messages, seconds)
            await killing
            await self._wait_until_drained(stream, f"fnkit-{trigger}")
            await asyncio.to_thread(self._wait_until_logged, trigger)
        self._find_unexplained_duplicates()
        return self._result

    async def _publish(self, stream: JetStreamContext, messages: int, seconds: float) -> None:
        """Publish each message until the broker accepts it; the broker discards repeated message ids."""
        began = time.monotonic()
        for number in range(messages):
            body = f"message {number}"
            while True:
                try:
                    await stream.publish("chaos", body.encode(), timeout=1, headers={"Nats-Msg-Id": body})
                except (Error, OSError):
                    await asyncio.sleep(0.1)
                else:
                    break
            self._result.published.add(body)
            if (ahead := number * seconds / messages - (time.monotonic() - began)) > 0:
                await asyncio.sleep(ahead)

    async def _kill(self, seconds: float, targets: tuple[str, ...]) -> None:
        for target in targets:
            await asyncio.sleep(seconds / (len(targets) + 1))
            began = time.time()
            self._result.kills.append((target, began))
            if target == "instance":
                self._kill_instances()
            else:
                await asyncio.to_thread(self._kill_process, target)
            self._outages.append((began, time.time()))

    def _kill_process(self, name: str) -> None:
        former = wait_until(lambda: self._platform.processes()[name])
        self._platform.kill(name)
        wait_until(lambda: self._platform.has_recovered(name, former), what=f"{name} has restarted")

    def _kill_instances(self) -> None:
        """Kill up to three instances."""
        found = self._platform.instances()
        for name in self._random.sample(found, min(3, len(found))):
            self._platform.kill_instance(name)

    async def _wait_until_drained(self, stream: JetStreamContext, consumer: str) -> None:
        """Wait until the broker has delivered every message and received every acknowledgement."""

        async def is_drained() -> bool:
            with contextlib.suppress(Error, OSError):
                found = await stream.consumer_info("CHAOS", consumer, timeout=2)
                self._result.pending = (found.num_pending or 0, found.num_ack_pending or 0)
            return self._result.pending == (0, 0)

        await wait_until_async(is_drained, what="every message is acknowledged")

    def _wait_until_logged(self, trigger: str) -> None:
        """Wait until the delivery log has an outcome for every message."""

        def has_outcomes() -> bool:
            with contextlib.suppress(OSError):
                entries = self._platform.deliveries(trigger, limit=1000)
                self._result.log = Counter(str(one["status"]) for one in entries)
            return bool(self._result.log) and not self._result.log["pending"]

        wait_until(has_outcomes, what="no delivery is pending")

    def _find_unexplained_duplicates(self) -> None:
        ends = self._platform.calls(self._function, "end")
        self._result.handled = Counter(call.body for call in ends)
        times_by_body: dict[str, list[float]] = {}
        for call in ends:
            times_by_body.setdefault(call.body, []).append(call.time)
        for body, times in times_by_body.items():
            for moment in times[:-1]:  # each of these was handled again, which only a kill may cause
                if not any(
                    since - _REDELIVERY_WINDOW < moment < until + _REDELIVERY_WINDOW
                    for since, until in self._outages
                ):
                    self._result.unexplained.append(body)


def main() -> int:
    """Run; return 1 if a message was lost, redelivered without a kill, or not recorded as succeeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.nats")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=10, help="how often each target is killed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fnkit-chaos-") as folder, queue_platform(Path(folder)) as platform:
        chaos = NatsChaos(platform, options.seed)
        result = asyncio.run(chaos.run(options.messages, options.seconds, KILL_TARGETS * options.rounds))
    sys.stdout.write(f"{result}\n")
    return 1 if result.lost or result.unexplained or set(result.log) != {"succeeded"} else 0


if __name__ == "__main__":
    sys.exit(main())
