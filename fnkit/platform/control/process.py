"""The control process: the API, the store, the schedulers and the queue triggers.

It reads ``ProcessSettings`` as JSON from standard input and starts in this order: sockets, store, link to the data
plane, unfinished operations, schedulers, HTTP. SIGTERM and SIGINT stop it in reverse order. Exit codes: 0 after a
requested stop, 1 if it cannot start, with one line on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator

import msgspec
import uvicorn

from fnkit.errors import PlatformError
from fnkit.platform.control.api.app import create_application
from fnkit.platform.control.api.http_protocol import ApiHttpProtocol, raise_descriptor_limit
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.logs.push import LokiPush
from fnkit.platform.listening_sockets import inherit, listen
from fnkit.platform.model.process_log import standard_error_handler
from fnkit.platform.model.settings import ProcessSettings

_GC_THRESHOLD = 20_000  # objects. Those of a message are freed by reference counting: few collections suffice
_DRAIN_TIMEOUT = 10
# Longer than the pause between two polls of a client: 5 s (Serverless Framework plugin, Go SDK), up to 30 s (other
# SDKs). Where a connection is closed just as the next request is sent, Node clients fail with "socket hang up".
_KEEP_ALIVE_TIMEOUT = 75
_GIL_SWITCH_INTERVAL = 0.0005
"""Switch interval of the GIL: how long a busy thread, such as a log query, may delay the event loop."""


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would replace those of ``serve``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: ProcessSettings, listeners: list[socket.socket], stop: asyncio.Event | None = None
) -> None:
    """Run the control plane until it is stopped.

    Args:
        settings: Settings of the process.
        listeners: The listening sockets of the API.
        stop: Set to stop; ``None`` to stop on SIGTERM and SIGINT.
    """
    plane = ControlPlane(settings)
    try:
        await plane.open()
        if settings.loki_push is not None:
            plane.context.tasks.start(LokiPush(plane.context, plane.logs, settings.loki_push).run(), "log push")
        await _serve_http(plane, listeners, stop or _stop_event_on_signal())
    finally:
        await plane.close()


async def _serve_http(plane: ControlPlane, listeners: list[socket.socket], stop: asyncio.Event) -> None:
    application = create_application(plane)
    config = uvicorn.Config(
        application,
        lifespan="off",
        http=ApiHttpProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="wsproto",
        timeout_graceful_shutdown=_DRAIN_TIMEOUT,
        timeout_keep_alive=_KEEP_ALIVE_TIMEOUT,
    )
    server = _HttpServer(config)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True
        plane.context.held_reads.release()

    ending = asyncio.ensure_future(end())
    try:
        await server.serve(sockets=listeners)
    finally:
        ending.cancel()
        application.state.request_log.flush()


def _stop_event_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loop, if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> int:
    """Run the process and return its exit code."""
    gc.freeze()  # imported modules live until the end: exclude their objects from every collection
    gc.set_threshold(_GC_THRESHOLD)
    logging.basicConfig(level=logging.INFO, handlers=[standard_error_handler()])
    sys.setswitchinterval(_GIL_SWITCH_INTERVAL)
    raise_descriptor_limit()
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
        listeners = inherit(settings.listening.api) or listen(settings.host, settings.api_port)
        with asyncio.Runner(loop_factory=_event_loop_factory()) as runner:
            runner.run(serve(settings, listeners))
    except msgspec.MsgspecError as error:
        print(f"control: invalid settings: {error}", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    except (PlatformError, OSError, sqlite3.Error) as error:
        print(f"control: {error}", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
