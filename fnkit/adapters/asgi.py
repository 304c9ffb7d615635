"""Calls an ASGI application (version 3): FastAPI, Starlette, Litestar, Quart, Django.

Its lifespan starts when the module is imported, before the first request, and ends with the process.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TypeAlias

from fnkit.adapters.event_loop import process_runner, run
from fnkit.adapters.http_message import HttpMessage, read_event, write_response

Message: TypeAlias = MutableMapping[str, Any]
_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}


def adapt_asgi(application: Callable[..., Any]) -> Callable[[dict[str, Any], object], object]:
    """Return ``handler(event, context)`` for an ASGI application, whose lifespan has started.

    A response that is a stream is collected, as the platform needs it whole.

    Raises:
        RuntimeError: The application refused to start.
    """
    lifespan = _Lifespan(application)
    run(lifespan.start())

    def call(event: dict[str, Any], context: object) -> object:
        return run(_respond(application, event, context, lifespan.state))

    return call


async def _respond(
    application: Callable[..., Any], event: dict[str, Any], context: object, state: dict[str, Any]
) -> dict[str, object]:
    message = read_event(event)
    exchange = _Exchange(message.body)
    scope = {**_scope(message, event, context), "state": state.copy()}
    try:
        await application(scope, exchange.receive, exchange.send)
    except Exception:
        if not exchange.finished.is_set():
            raise
        # The application has answered, usually with 500: that is its response, as with any server.
        sys.stderr.write(traceback.format_exc())
    return exchange.response()


class _Exchange:
    """One request and its response."""

    def __init__(self, body: bytes) -> None:
        self._request: bytes | None = body
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self.finished = asyncio.Event()

    async def receive(self) -> Message:
        """Return the body at once; afterwards the client stays until it has the response."""
        if self._request is not None:
            body, self._request = self._request, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.finished.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Collect a part of the response."""
        match message["type"]:
            case "http.response.start":
                self._status = message["status"]
                self._headers = [
                    (name.decode("latin-1"), _text(value)) for name, value in message.get("headers", ())
                ]
            case "http.response.body" if self._status:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    self.finished.set()
            case kind:
                raise RuntimeError(f"the ASGI application sent {kind} where it must not")

    def response(self) -> dict[str, object]:
        """Return the response of the handler."""
        if not self._status:
            raise RuntimeError("the ASGI application returned without a response")
        return write_response(self._status, self._headers, bytes(self._body))


def _text(value: bytes) -> str:
    """Return the value of a header, which the platform sends as UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _scope(message: HttpMessage, event: dict[str, Any], context: object) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": dict(_ASGI),
        "http_version": "1.1",
        "method": message.method,
        "scheme": message.scheme,
        "path": message.root_path + message.path,
        "raw_path": (message.root_path + message.raw_path).encode(),
        "query_string": message.query.encode(),
        "root_path": message.root_path,
        "headers": [(name.encode("latin-1", "replace"), value.encode()) for name, value in message.headers],
        "client": (message.client, 0),
        "server": (message.host, message.port),
        "extensions": {"fnkit": {"event": event, "context": context}},
    }


class _Lifespan:
    """The lifespan of an application: a task that waits between the events of the protocol.

    Attributes:
        state: What the application made for its requests.
    """

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Start it. An application that has none raises an exception, which is no failure of it.

        Raises:
            RuntimeError: The application reported that it could not start.
        """
        self._task = asyncio.create_task(self._run())
        await self._incoming.put({"type": "lifespan.startup"})
        answer = await self._outgoing.get()
        if answer["type"] == "lifespan.startup.failed":
            await asyncio.wait([self._task])
            raise RuntimeError(f"the ASGI application could not start: {answer.get('message', '')}")
        if answer["type"] == "lifespan.unsupported":
            await asyncio.wait([self._task])
            self._task.exception()  # retrieved, so that asyncio does not report it
        if answer["type"] == "lifespan.startup.complete":
            atexit.register(lambda: process_runner().run(self._stop()))

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(_ASGI), "state": self.state}
        try:
            await self._application(scope, self._incoming.get, self._outgoing.put)
        finally:
            # An application without a lifespan raises whatever it likes, which the task keeps.
            await self._outgoing.put({"type": "lifespan.unsupported"})

    async def _stop(self) -> None:
        await self._incoming.put({"type": "lifespan.shutdown"})
        if self._task is not None:
            await asyncio.wait([self._task])
