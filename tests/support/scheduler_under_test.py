"""The cron scheduler with a real store and a real socket, in the test's process, where it can crash at any point.

Tests set the clock; platform time equals machine time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.events.cron_scheduler import CronScheduler
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.dispatcher import GATEWAY_RETRY_PERIOD, Dispatcher
from fnkit.platform.control.events.firing import CronState, DispatchRequest
from fnkit.platform.control.events.history import DeliveryHistory
from fnkit.platform.control.secrets import SecretStore
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.delivery import Delivery
from fnkit.platform.model.delivery_protocol import (
    CANCEL,
    REQUEST,
    DeliveryResponse,
    FrameDecoder,
    decode_request,
    encode_response_frame,
)
from fnkit.platform.model.routing import ClockState
from fnkit.platform.model.settings import DataLayout
from tests.support.control_process import control_settings

__all__ = ["FakeGateway", "ManualMachineClock", "SchedulerUnderTest", "SimulatedCrash", "fake_gateway"]


class SimulatedCrash(BaseException):
    """Raised where the process is to crash."""


class ManualMachineClock(VirtualClock):
    """A machine clock that a test sets; ``wall`` is in Unix seconds."""

    def __init__(self, wall: float, speed: float = 1.0) -> None:
        super().__init__(ClockState(platform_time=wall, real_time=wall, speed=speed))
        self.wall = wall

    def now(self) -> float:
        return self.wall

    def now_ns(self) -> int:
        return int(self.wall * 10**9)

    def elapsed(self) -> float:
        return self.wall

    async def wait(self, seconds: float | None) -> None:
        del seconds
        await asyncio.Event().wait()


@dataclass(slots=True)
class FakeGateway:
    """A gateway that records deliveries.

    Attributes:
        mode: The response to the next deliveries: ``ok`` (200), ``full`` (503 by the gateway), ``fails`` (500 by
            the function), or ``breaks`` (the connection is closed instead).
        received: The bodies of all deliveries, in order.
        handled: How often a function handled each body.
        in_flight: The number of deliveries that are being handled.
        max_in_flight: The largest number of deliveries that were handled at the same time.
        release: If set, handling waits for this event.
        tasks: The tasks of open connections.
    """

    mode: str = "ok"
    received: list[bytes] = field(default_factory=list)
    handled: Counter[bytes] = field(default_factory=Counter)
    in_flight: int = 0
    max_in_flight: int = 0
    release: asyncio.Event | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        frames, answering = FrameDecoder(), set[asyncio.Task[None]]()
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                while data := await reader.read(65536):
                    for frame in frames.feed(data):
                        if frame.kind == CANCEL:
                            continue  # the client stops waiting; the function finishes its work
                        assert frame.kind == REQUEST
                        body = decode_request(frame.payload).body
                        answering.add(asyncio.ensure_future(self._respond(frame.delivery_id, body, writer)))
        finally:
            for one in answering:
                one.cancel()
            writer.close()
            await asyncio.gather(*answering, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.tasks.discard(task)

    async def _respond(self, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.received.append(body)
        mode = self.mode
        if mode == "full":
            writer.write(
                encode_response_frame(number, DeliveryResponse(503, from_function=False, error_excerpt=b"{}"))
            )
            return
        self.handled[body] += 1
        await self._handle()
        if mode == "breaks":
            writer.close()
        else:
            writer.write(
                encode_response_frame(
                    number,
                    DeliveryResponse(500 if mode == "fails" else 200, from_function=True, error_excerpt=b"{}"),
                )
            )

    async def _handle(self) -> None:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        if self.release is not None:
            await self.release.wait()
        self.in_flight -= 1


@asynccontextmanager
async def fake_gateway(home: Path) -> AsyncIterator[FakeGateway]:
    """Run a fake gateway on the delivery socket of a platform in ``home``."""
    gateway = FakeGateway()
    server = await asyncio.start_unix_server(gateway.serve, str(home / "delivery.sock"))
    try:
        yield gateway
    finally:
        server.close()
        if gateway.release is not None:
            gateway.release.set()  # a failed test may not have done so
        for task in gateway.tasks:
            task.cancel()
        if gateway.tasks:
            await asyncio.wait(set(gateway.tasks))


class _CrashingCronState(CronState):
    """Cron state that crashes right before, or right after, due runs are committed."""

    crash_point = ""

    def begin_runs(self, due: Sequence[tuple[str, float]]) -> list[DispatchRequest]:
        if due and self.crash_point == "before commit":
            raise SimulatedCrash
        begun = super().begin_runs(due)
        if begun and self.crash_point == "after commit":
            raise SimulatedCrash
        return begun


class SchedulerUnderTest:
    """The scheduling parts of a control process, with a store in ``home``. After ``kill``, create another one."""

    def __init__(
        self, home: Path, clock: ManualMachineClock, *, gateway_retry_period: float = GATEWAY_RETRY_PERIOD
    ) -> None:
        layout = DataLayout(home)
        self.clock = clock
        self.store = Store(layout.database)
        self.context = ControlContext(
            settings=control_settings(home, api_port=0, gateway_port=0),
            layout=layout,
            clock=clock,
            store=self.store,
            blobs=BlobStore(layout.blobs_dir),
            secrets=SecretStore(Vault(layout.keys_dir / "platform.key")),
        )
        self.log = DeliveryLog(self.store)
        self.cron_state = _CrashingCronState(self.context, self.log)
        self.dispatcher = Dispatcher(self.context, self.log, retry_period=gateway_retry_period)
        self.scheduler = CronScheduler(
            self.context, self.cron_state, self.dispatcher, wall_clock=lambda: self.clock.wall
        )
        self.history = DeliveryHistory(self.context, self.log, self.cron_state, self.dispatcher)
        with self.store.transaction():
            self.log.mark_interrupted()

    async def start(self) -> None:
        """Load the crons, and start the runs that were missed in a short downtime."""
        self.scheduler.load()
        await self.scheduler.fire_due()

    async def set_time(self, moment: float) -> None:
        """Set the clock and start the runs that are due."""
        self.clock.wall = moment
        await self.scheduler.fire_due()

    async def crash_at(self, moment: float, point: str) -> None:
        """Like ``set_time``, but the process crashes at this point if a run is due, and is killed afterwards."""
        self.cron_state.crash_point = point
        try:
            await self.set_time(moment)
        except SimulatedCrash:
            pass
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Discard the state in memory, and write nothing more."""
        self.log._buffer.clear()
        await self.context.tasks.stop()
        for _ in range(3):  # until the sockets are closed
            await asyncio.sleep(0)
        self.log._buffer.clear()
        if self.log._flush_timer is not None:
            self.log._flush_timer.cancel()
        self.context.secrets.close()
        self.store.close()

    async def wait_until_idle(self) -> None:
        """Wait until no task is running."""
        while tasks := list(self.context.tasks._tasks):
            await asyncio.wait(tasks)

    def deliveries(self, cron_id: str, cause: str = "tick") -> list[Delivery]:
        """Return the deliveries of a cron, oldest first."""
        found = self.log.table().page(cron_id, limit=10_000)
        return [one for one, _ in reversed(found) if one.cause == cause]

    def update_cron(self, cron_id: str, *, notify: bool = True, **fields: object) -> None:
        """Update a cron's record, and notify the scheduler, as the API does when an update is complete."""
        record = self.store.crons.get(cron_id)
        assert record is not None
        with self.store.transaction():
            self.store.crons.update(msgspec.structs.replace(record, **fields))
        if notify:
            self.scheduler.on_cron_changed(cron_id)
