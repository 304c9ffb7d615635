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
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvicorn

from fnkit.contract.platform import TriggerStatus
from fnkit.errors import PlatformError
from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.api.app import create_application
from fnkit.platform.control.control_plane import ControlPlane, build_control_plane
from fnkit.platform.control.events.cron_scheduler import CronScheduler, ExpiryScheduler
from fnkit.platform.control.events.dispatcher import Dispatcher
from fnkit.platform.control.events.gateway_client import GatewayClient
from fnkit.platform.control.events.queues.broker_config import BrokerConfig
from fnkit.platform.control.events.queues.nats.source import NatsBackend
from fnkit.platform.control.events.queues.sqs.source import SqsBackend
from fnkit.platform.control.events.queues.triggers import TriggerManager
from fnkit.platform.control.logs.push import LokiPush
from fnkit.platform.model.settings import ProcessSettings, QueueSettings

__all__ = ["QueueTriggers", "main", "serve"]

_BACKLOG = 512
_GC_THRESHOLD = 20_000  # objects. Those of a message are freed by reference counting: few collections suffice
_DRAIN_TIMEOUT = 10
# Longer than the pause between two polls of a client: 5 s (Serverless Framework plugin, Go SDK), up to 30 s (other
# SDKs). Where a connection is closed just as the next request is sent, Node clients fail with "socket hang up".
_KEEP_ALIVE_TIMEOUT = 75
_GIL_SWITCH_INTERVAL = 0.0005
"""Switch interval of the GIL: how long a busy thread, such as a log query, may delay the event loop."""


class QueueTriggers:
    """Runs the queue triggers. It registers itself with ``plane`` as the source of their states.

    Args:
        plane: The control plane.
        gateway_client: Delivers messages to the gateway.
        settings: Brokers of queue triggers.
    """

    def __init__(self, plane: ControlPlane, gateway_client: GatewayClient, settings: QueueSettings) -> None:
        self._tasks = plane.context.tasks
        self._triggers = plane.triggers
        named = plane.context.settings.brokers_file
        file = Path(named) if named else plane.context.layout.brokers_file
        self._broker_config = BrokerConfig(
            file, settings.environment, _own_nats_broker(settings.nats_url), settings.nats_unavailable_reason
        )
        self._nats = NatsBackend(plane.context, self._broker_config.nats_for)
        sqs = SqsBackend(self._broker_config.sqs_for, plane.triggers.decrypt_secret_key)
        self.manager = TriggerManager(
            plane.context, plane.triggers, plane.delivery_log, gateway_client, (self._nats, sqs)
        )

        plane.list_trigger_states = self._trigger_states

    def start(self) -> None:
        """Start the trigger manager and its background tasks."""
        self._tasks.start(self.manager.run(), "queue triggers")
        self._tasks.start(self._broker_config.watch(self.manager.on_brokers_changed), "broker settings")
        self._tasks.start(self._nats.run_cleanup(), "consumers of deleted triggers")

    async def stop(self) -> None:
        """Stop requesting messages, and give those in flight a few seconds."""
        await self.manager.stop()

    def _trigger_states(self) -> list[TriggerStatus]:
        triggers, found = self._triggers, []
        for trigger_id, report in self.manager.statuses().items():
            if (record := triggers.get_active(trigger_id)) is not None:
                found.append(
                    TriggerStatus(id=trigger_id, name=record.name, state=report.state, words=report.message)
                )
        return found


def _own_nats_broker(url: str) -> NatsBroker | None:
    if not url:
        return None
    parts = urlsplit(url)
    return NatsBroker(
        url=f"nats://{parts.hostname}:{parts.port}", user=parts.username or "", password=parts.password or ""
    )


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers, which would replace those of ``serve``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: ProcessSettings, listener: socket.socket, stop: asyncio.Event | None = None) -> None:
    """Run the control plane until it is stopped.

    Args:
        settings: Settings of the process.
        listener: The listening socket of the API.
        stop: Set to stop; ``None`` to stop on SIGTERM and SIGINT.
    """
    plane = build_control_plane(settings)
    gateway_client = GatewayClient(settings.delivery_socket)
    dispatcher = Dispatcher(plane.context, plane.delivery_log, gateway_client)
    queues = QueueTriggers(plane, gateway_client, settings.queues)
    crons = CronScheduler(plane.context, plane.cron_state, dispatcher)
    plane.history.dispatch = dispatcher.dispatch
    plane.context.on_cron_changed = crons.on_cron_changed
    plane.on_clock_moved = _create_due_runner(crons, queues, plane)
    try:
        await plane.open()
        crons.load()
        plane.context.tasks.start(crons.run(), "cron scheduler")
        plane.context.tasks.start(ExpiryScheduler(plane.context, plane.functions).run(), "expiry scheduler")
        queues.start()
        if settings.loki_push is not None:
            plane.context.tasks.start(LokiPush(plane.context, plane.logs, settings.loki_push).run(), "log push")
        await _serve_http(plane, listener, stop or _stop_event_on_signal())
    finally:
        await queues.stop()
        await plane.close()
        gateway_client.close()


def _create_due_runner(
    crons: CronScheduler, queues: QueueTriggers, plane: ControlPlane
) -> Callable[[], Awaitable[None]]:
    async def due() -> None:
        await crons.fire_due()
        await queues.manager.retry_due()
        await plane.functions.expire_deployments()
        await asyncio.sleep(0)  # run the first step of the tasks that were just created

    return due


async def _serve_http(plane: ControlPlane, listener: socket.socket, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        create_application(plane),
        lifespan="off",
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

    ending = asyncio.ensure_future(end())
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()


def _stop_event_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _bind_listener(host: str, port: int) -> socket.socket:
    """Open the listening socket of the API.

    The protocol is given explicitly: asyncio sets TCP_NODELAY only on sockets whose ``proto`` is IPPROTO_TCP. With
    Nagle's algorithm and delayed ACKs, calls would take 40 ms longer.
    """
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
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    sys.setswitchinterval(_GIL_SWITCH_INTERVAL)
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
        with (
            _bind_listener(settings.host, settings.api_port) as listener,
            asyncio.Runner(loop_factory=_event_loop_factory()) as runner,
        ):
            runner.run(serve(settings, listener))
    except msgspec.MsgspecError as error:
        print(f"control: invalid settings: {error}", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    except (PlatformError, OSError, sqlite3.Error) as error:
        print(f"control: {error}", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
