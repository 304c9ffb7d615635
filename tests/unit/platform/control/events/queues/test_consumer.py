"""SlowStartNotifier calls back once for each operation, no earlier than the delay."""

from __future__ import annotations

import asyncio

from fnkit.platform.control.events.queues.consumer import SlowStartNotifier
from tests.support.waiting import DEADLINE, wait_until_async

_DELAY = 0.02


def test_operations_are_reported_once_in_order_after_the_delay() -> None:
    async def scenario() -> list[tuple[int, float]]:
        all_reported = asyncio.Event()
        loop, reported, started_at = asyncio.get_running_loop(), list[tuple[int, float]](), dict[int, float]()

        def report(number: int) -> None:
            reported.append((number, loop.time() - started_at[number]))
            if len(reported) == 40:
                all_reported.set()

        notifier = SlowStartNotifier(report, _DELAY)
        for number in range(40):
            started_at[number] = loop.time()
            notifier.add(number)
            await asyncio.sleep(0)
        await asyncio.wait_for(all_reported.wait(), DEADLINE)
        started_at[40] = loop.time()
        notifier.add(40)  # after the queue was empty
        await wait_until_async(lambda: len(reported) >= 41)
        return reported

    reported = asyncio.run(scenario())
    assert [number for number, _ in reported] == list(range(41))
    assert min(waited for _, waited in reported) >= _DELAY - 0.001  # the resolution of the event loop's clock
