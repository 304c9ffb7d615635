"""What is under way for a moment is told of once; what ended before then leaves no trace but that."""

from __future__ import annotations

import asyncio

from fnkit.platform.control.events.queues.consumer import SlowStartNotifier
from tests.support.waiting import DEADLINE, wait_until_async

_SECONDS = 0.02


def test_each_is_told_once_in_order_and_never_before_its_moment() -> None:
    async def scenario() -> list[tuple[int, float]]:
        all_told = asyncio.Event()
        loop, told, began = asyncio.get_running_loop(), list[tuple[int, float]](), dict[int, float]()

        def tell(number: int) -> None:
            told.append((number, loop.time() - began[number]))
            if len(told) == 40:
                all_told.set()

        kept = SlowStartNotifier(tell, _SECONDS)
        for number in range(40):
            began[number] = loop.time()
            kept.add(number)
            await asyncio.sleep(0)
        await asyncio.wait_for(all_told.wait(), DEADLINE)
        began[40] = loop.time()
        kept.add(40)  # after a rest
        await wait_until_async(lambda: len(told) >= 41)
        return told

    told = asyncio.run(scenario())
    assert [number for number, _ in told] == list(range(41))
    assert min(waited for _, waited in told) >= _SECONDS - 0.001  # the loop's own resolution
