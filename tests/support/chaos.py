"""Thousands of messages while everything that carries them is killed, again and again; what came of it.

``python -m tests.chaos.nats`` runs it for minutes; the suite runs it for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nats.errors import Error
from nats.js import JetStreamContext

from tests.support.queues import QueuePlatform, connected
from tests.support.waiting import wait_until

__all__ = ["VICTIMS", "Chaos", "Outcome"]

VICTIMS = ("data_plane", "instance", "control", "nats")
_ANSWER = "def answered(event):\n    time.sleep(0.005)\n    return 'ok'\n"
_EXPLAINED_SECONDS = 3.0
"""So long before a kill may a message have begun that the kill makes come again; and so long after all is well."""


@dataclass
class Outcome:
    """published, handled: bodies. kills: who, and when. unexplained: what came twice without a kill near it.

    log: how many of the lines that the delivery log keeps have which status.
    """

    published: set[str] = field(default_factory=set)
    handled: Counter[str] = field(default_factory=Counter)
    kills: list[tuple[str, float]] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    left: tuple[int, int] = (-1, -1)
    log: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> set[str]:
        """What was accepted and never handled to its end."""
        return self.published - self.handled.keys()

    @property
    def duplicates(self) -> int:
        """How often something was handled again."""
        return sum(number - 1 for number in self.handled.values())

    def __str__(self) -> str:
        """One line."""
        kills = Counter(who for who, _ in self.kills)
        return (
            f"{len(self.published)} messages, {len(self.lost)} lost, {self.duplicates} handled again "
            f"({len(self.unexplained)} of them unexplained), kills: {dict(kills)}, left at the broker: {self.left}"
            f", lines of the delivery log: {dict(self.log)}"
        )


class Chaos:
    """One run over a platform whose clock is fast."""

    def __init__(self, platform: QueuePlatform, seed: int) -> None:
        self._platform = platform
        self._random = random.Random(seed)  # noqa: S311  whom to kill
        self._function = platform.deploy(_ANSWER, max_scale=10, memory=128)
        self._outcome = Outcome()
        self._unwell: list[tuple[float, float]] = []  # from a kill until the platform is whole again

    async def run(self, messages: int, seconds: float, victims: tuple[str, ...]) -> Outcome:
        """Publish so many messages over so many seconds while the victims die, each in turn, evenly spread."""
        async with connected(self._platform.url) as (_, stream):
            await stream.add_stream(name="CHAOS", subjects=["chaos"])
            trigger = await asyncio.to_thread(self._platform.trigger, self._function, "chaos")
            killing = asyncio.create_task(self._kill(seconds, victims))
            await self._publish(stream, messages, seconds)
            await killing
            await self._drained(stream, f"fnkit-{trigger}")
            await self._logged(trigger)
        self._judge()
        return self._outcome

    async def _publish(self, stream: JetStreamContext, messages: int, seconds: float) -> None:
        """Publish each until the broker has it; the same id twice is one message."""
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
            self._outcome.published.add(body)
            if (ahead := number * seconds / messages - (time.monotonic() - began)) > 0:
                await asyncio.sleep(ahead)

    async def _kill(self, seconds: float, victims: tuple[str, ...]) -> None:
        for victim in victims:
            await asyncio.sleep(seconds / (len(victims) + 1))
            began = time.time()
            self._outcome.kills.append((victim, began))
            if victim == "instance":
                self._kill_instance()
            else:
                await asyncio.to_thread(self._kill_process, victim)
            self._unwell.append((began, time.time()))

    def _kill_process(self, victim: str) -> None:
        former = wait_until(lambda: self._platform.processes()[victim])
        self._platform.kill(victim)
        wait_until(lambda: self._platform.is_whole_again(victim, former), what=f"{victim} again")

    def _kill_instance(self) -> None:
        """Kill whatever is at work right now: by the pid that it noted, which is its own namespace's."""
        found = [pid for pid in _descendants(self._platform.processes()["data_plane"]) if not _descendants(pid)]
        for pid in self._random.sample(found, min(3, len(found))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _drained(self, stream: JetStreamContext, consumer: str) -> None:
        """Wait until the broker waits for nothing any more."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self._outcome.left != (0, 0):
            with contextlib.suppress(Error, OSError):
                found = await stream.consumer_info("CHAOS", consumer, timeout=2)
                self._outcome.left = (found.num_pending or 0, found.num_ack_pending or 0)
            await asyncio.sleep(0.1)

    async def _logged(self, trigger: str) -> None:
        """Wait until the log says of nothing that it is under way."""
        end = time.monotonic() + 60
        while time.monotonic() < end and (not self._outcome.log or self._outcome.log["pending"]):
            with contextlib.suppress(OSError):
                lines = await asyncio.to_thread(self._platform.deliveries, trigger, limit=1000)
                self._outcome.log = Counter(str(one["status"]) for one in lines)
            await asyncio.sleep(0.1)

    def _judge(self) -> None:
        ends = self._platform.calls(self._function, "end")
        self._outcome.handled = Counter(call.body for call in ends)
        moments: dict[str, list[float]] = {}
        for call in ends:
            moments.setdefault(call.body, []).append(call.at)
        for body, times in moments.items():
            for moment in times[:-1]:  # each of these was not the last word, so a kill must have unsaid it
                if not any(
                    since - _EXPLAINED_SECONDS < moment < until + _EXPLAINED_SECONDS
                    for since, until in self._unwell
                ):
                    self._outcome.unexplained.append(body)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text(encoding="ascii").split()):
                found += [child, *_descendants(child)]
    return found
