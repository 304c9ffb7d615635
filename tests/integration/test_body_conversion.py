"""The process that converts large bodies: its end, its failures, and the memory of what it converts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fnkit.platform.data_plane.body_buffer import BodyBuffer, BodyMemory, BodyMemoryExhausted
from fnkit.platform.data_plane.gateway.conversion import BodyConverter, ConversionError, LargeEvent
from tests.support.waiting import DEADLINE

_MEBIBYTE = 1024 * 1024


def large_event(memory: BodyMemory, size: int) -> LargeEvent:
    body = BodyBuffer(memory)
    for _ in range(size // 65536):
        body.append(b"\xff" * 65536)
    return LargeEvent(b'{"body":', body, b"}")


async def wait_for(predicate: Callable[[], bool]) -> None:
    """Wait within the deadline of ``run``."""
    while not predicate():  # noqa: ASYNC110  (any predicate)
        await asyncio.sleep(0)


def run(
    test: Callable[[BodyConverter], Awaitable[None]], *, limit: int = 64 * _MEBIBYTE, idle_seconds: float = 60
) -> None:
    async def with_converter() -> None:
        converter = BodyConverter(BodyMemory(limit), idle_seconds=idle_seconds)
        try:
            await asyncio.wait_for(test(converter), DEADLINE)
        finally:
            converter.close()
        assert converter.memory.used == 0

    asyncio.run(with_converter())


def test_memory_is_counted_until_the_result_is_dropped_and_the_process_ends() -> None:
    async def convert(converter: BodyConverter) -> None:
        result = await converter.encode_event(large_event(converter.memory, _MEBIBYTE))
        assert converter.memory.used == result.size == 3 * _MEBIBYTE + len('{"body":""}')
        assert json.loads(b"".join(result.drain())) == {"body": "\ufffd" * _MEBIBYTE}
        del result
        assert converter.memory.used == 0
        await wait_for(lambda: converter.pid is None)

    run(convert, idle_seconds=0)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_of_large_bodies_is_given_back_to_the_system() -> None:
    async def convert(converter: BodyConverter) -> None:
        BodyMemory.give_back()  # what earlier tests freed
        before = resident_bytes()
        # Each is followed by something that stays: a gateway that serves others allocates all the time.
        bodies = [(os.urandom(60_000), os.urandom(600)) for _ in range(2000)]
        others = [other for _, other in bodies]
        assert resident_bytes() > before + 100 * _MEBIBYTE
        bodies.clear()
        await converter.encode_event(large_event(converter.memory, 131_072))
        await wait_for(lambda: resident_bytes() < before + 30 * _MEBIBYTE)
        assert len(others) == 2000

    run(convert, idle_seconds=0)


def test_event_loop_makes_a_turn_for_each_piece() -> None:
    async def convert(converter: BodyConverter) -> None:
        turns = 0

        def count() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(count)

        loop = asyncio.get_running_loop()
        event = large_event(converter.memory, 8 * _MEBIBYTE)
        loop.call_soon(count)
        await converter.encode_event(event)
        assert turns > 8 * _MEBIBYTE / 65536

    run(convert)


def test_result_for_which_there_is_no_memory_is_an_error() -> None:
    async def convert(converter: BodyConverter) -> None:
        with pytest.raises(BodyMemoryExhausted):
            await converter.encode_event(large_event(converter.memory, _MEBIBYTE))
        assert (await converter.encode_event(large_event(converter.memory, 131_072))).size > 131_072

    run(convert, limit=2 * _MEBIBYTE)


def test_killed_process_fails_its_conversion_and_is_replaced() -> None:
    async def convert(converter: BodyConverter) -> None:
        await converter.encode_event(large_event(converter.memory, 131_072))
        pid = converter.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        event = large_event(converter.memory, 8 * _MEBIBYTE)
        conversion = asyncio.create_task(converter.encode_event(event))
        pieces = event.body.pieces
        await wait_for(lambda: len(pieces) < 8 * _MEBIBYTE // 65536)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConversionError, match="the process for it ended"):
            await conversion
        del conversion, event
        await converter.encode_event(large_event(converter.memory, 131_072))

    run(convert)


def test_cancelled_conversion_gives_its_memory_back_before_its_turn() -> None:
    async def convert(converter: BodyConverter) -> None:
        first = asyncio.create_task(converter.encode_event(large_event(converter.memory, _MEBIBYTE)))
        second = asyncio.create_task(converter.encode_event(large_event(converter.memory, 2 * _MEBIBYTE)))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        del second
        assert converter.memory.used <= _MEBIBYTE
        await first

    run(convert)
