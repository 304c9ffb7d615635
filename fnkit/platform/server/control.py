"""The control process: ``python -m fnkit.platform.server.control``, its settings as JSON on standard input.

Order: settings, sockets, store, link to the data plane, what was in flight, schedulers, HTTP. SIGTERM and SIGINT
undo it backwards. Exit codes: 0 stopped when asked, 1 could not start (one line on standard error says why).
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
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import uvicorn

from fnkit.errors import PlatformError
from fnkit.platform.api.app import application
from fnkit.platform.control.platform import ControlPlane, assemble
from fnkit.platform.layout import ProcessSettings
from fnkit.platform.schedulers.cron import CronScheduler
from fnkit.platform.schedulers.delivery import Door
from fnkit.platform.schedulers.expiry import ExpiryScheduler
from fnkit.platform.schedulers.hand_over import HandOver
from fnkit.platform.schedulers.log_push import LogPush
from fnkit.platform.server.queueing import Queueing

__all__ = ["main", "serve"]

_BACKLOG = 512
_COLLECT_AFTER = 20_000  # objects: what messages are made of goes by itself
_DRAIN_SECONDS = 10
# An idle connection outlives the longest pause between two polls: 5 s (the Serverless plugin, Go), up to 30 s (the
# other SDKs). One that is closed at the moment of the next request shows at Node clients as "socket hang up".
_IDLE_SECONDS = 75
_TURN_SECONDS = 0.0005
"""For how long a thread at work (a log query) may keep the interpreter from the event loop."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process answers signals once, in ``serve``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: ProcessSettings, listener: socket.socket, stop: asyncio.Event | None = None) -> None:
    """Run the control plane on a bound socket until ``stop`` is set, or until a signal without one."""
    plane = assemble(settings)
    door = Door(settings.delivery_socket)
    hand_over = HandOver(plane.context, plane.deliveries, door)
    queues = Queueing(plane, door, settings.queues)
    crons = CronScheduler(plane.context, plane.ticks, hand_over)
    plane.history.deliver = hand_over.deliver
    plane.context.cron_changed = crons.changed
    plane.due = _due(crons, queues, plane)
    try:
        await plane.open()
        crons.load()
        plane.context.tasks.start(crons.run(), "cron scheduler")
        plane.context.tasks.start(ExpiryScheduler(plane.context, plane.functions).run(), "expiry scheduler")
        queues.start()
        if settings.log_push is not None:
            plane.context.tasks.start(LogPush(plane.context, plane.logs, settings.log_push).run(), "log push")
        await _serve_http(plane, listener, stop or _stopped_by_signal())
    finally:
        await queues.stop()
        await plane.close()
        door.close()


def _due(crons: CronScheduler, queues: Queueing, plane: ControlPlane) -> Callable[[], Awaitable[None]]:
    async def due() -> None:
        await crons.fire_due()
        await queues.scheduler.retry_due()
        await plane.functions.expire()
        await asyncio.sleep(0)  # what was begun takes its first step

    return due


async def _serve_http(plane: ControlPlane, listener: socket.socket, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        application(plane),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="wsproto",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    server = _Server(config)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = asyncio.ensure_future(end())
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()


def _stopped_by_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _listener(host: str, port: int) -> socket.socket:
    """Bind the API's door. Its protocol is named: by that event loops switch Nagle's delay off (40 ms a call)."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> int:
    """Run the process; returns its exit code."""
    gc.freeze()  # what is loaded now stays
    gc.set_threshold(_COLLECT_AFTER)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
        with (
            _listener(settings.host, settings.api_port) as listener,
            asyncio.Runner(loop_factory=_loop()) as runner,
        ):
            runner.run(serve(settings, listener))
    except msgspec.MsgspecError as error:
        print(f"control: its settings cannot be read: {error}", file=sys.stderr)  # noqa: T201  a process's last word
        return 1
    except (PlatformError, OSError, sqlite3.Error) as error:
        print(f"control: {error}", file=sys.stderr)  # noqa: T201  a process's last word
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
