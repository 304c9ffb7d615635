"""A response for which there is no memory, seen from the gateway's side of an engine."""

from __future__ import annotations

import asyncio
from typing import cast

from fnkit.platform.data_plane.body_buffer import BodyMemory
from fnkit.platform.data_plane.counters import CounterRegistry
from fnkit.platform.data_plane.gateway.conversion import BodyConverter
from fnkit.platform.data_plane.gateway.invocation import HttpInvocation
from fnkit.platform.data_plane.gateway.request import ClientRequest
from fnkit.platform.data_plane.interface import Engine, ResponseHandler
from tests.support.routes import make_route


class ScriptedEngine:
    """Records what it is asked for; the test calls the handler."""

    def __init__(self) -> None:
        self.counters = CounterRegistry()
        self.cancelled: list[object] = []

    def acquire(self, function_id: str, request_id: str, path: str, handler: ResponseHandler) -> str:
        del function_id, request_id, path, handler
        return "pending"

    def cancel(self, request: str) -> None:
        self.cancelled.append(request)


class Writer:
    """Records a response."""

    def __init__(self) -> None:
        self.written = b""
        self.ends: list[bool] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def end_response(self, *, complete: bool) -> None:
        self.ends.append(complete)


def test_response_beyond_the_memory_for_bodies_is_a_503_and_is_discarded() -> None:
    async def respond() -> None:
        engine, writer, memory = ScriptedEngine(), Writer(), BodyMemory(200_000)
        converter, request = BodyConverter(memory), ClientRequest()
        invocation = HttpInvocation(
            cast("Engine", engine), converter, make_route(), "/", b"{}", (), request, writer
        )
        invocation.start()
        invocation.on_response_start(200, ())
        invocation.on_response_data(b'"' + b"x" * 150_000)
        invocation.on_response_data(b"x" * 100_000)
        assert writer.written.startswith(b"HTTP/1.1 503 ")
        assert (engine.cancelled, writer.ends, memory.used) == (["pending"], [True], 0)

    asyncio.run(respond())
