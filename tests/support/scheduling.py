"""The cron scheduler over a real store and a real socket, in the test's own process, so that it can die anywhere.

The clock is the test's: ``wall`` is what this machine's clock shows, platform time is that too.
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
from fnkit.platform.model.delivery import Delivery
from fnkit.platform.model.delivery_protocol import (
    CANCEL,
    REQUEST,
    DeliveryResponse,
    FrameDecoder,
    decode_request,
    encode_response_frame,
)
from fnkit.platform.model.settings import DataLayout
from tests.support.control_process import control_settings

__all__ = ["Crash", "FakeGateway", "MachineClock", "SchedulerUnderTest", "fake_gateway"]


class Crash(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class MachineClock:
    """What the machine's clock shows, in Unix seconds; moves when the test sets it."""

    wall: float
    speed: float = 1.0

    def now(self) -> float:
        return self.wall

    def now_ns(self) -> int:
        return int(self.wall * 10**9)

    async def wait_until(self, moment: float | None) -> None:
        del moment
        await asyncio.Event().wait()


@dataclass(slots=True)
class FakeGateway:
    """What arrived, by body; ``mode`` says what the next ones are answered: ok, full, fails or breaks."""

    mode: str = "ok"
    arrived: list[bytes] = field(default_factory=list)
    handled: Counter[bytes] = field(default_factory=Counter)
    under_way: int = 0
    most_at_once: int = 0
    held: asyncio.Event | None = None
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
                            continue  # nobody waits for the answer any more: what was begun is finished
                        assert frame.kind == REQUEST
                        body = decode_request(frame.payload).body
                        answering.add(asyncio.ensure_future(self._answer(frame.delivery_id, body, writer)))
        finally:
            for one in answering:
                one.cancel()
            writer.close()
            await asyncio.gather(*answering, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.tasks.discard(task)

    async def _answer(self, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.arrived.append(body)
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
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        if self.held is not None:
            await self.held.wait()
        self.under_way -= 1


@asynccontextmanager
async def fake_gateway(home: Path) -> AsyncIterator[FakeGateway]:
    """Listen where the gateway's door for deliveries of a platform in ``home`` is."""
    gateway = FakeGateway()
    server = await asyncio.start_unix_server(gateway.serve, str(home / "delivery.sock"))
    try:
        yield gateway
    finally:
        server.close()
        if gateway.held is not None:
            gateway.held.set()  # a test that failed leaves nobody waiting
        for task in gateway.tasks:
            task.cancel()
        if gateway.tasks:
            await asyncio.wait(set(gateway.tasks))


class _DyingTicks(CronState):
    """Ticks whose process dies right before, or right after, they are committed."""

    dies = ""

    def begin_runs(self, due: Sequence[tuple[str, float]]) -> list[DispatchRequest]:
        if due and self.dies == "before commit":
            raise Crash
        begun = super().begin_runs(due)
        if begun and self.dies == "after commit":
            raise Crash
        return begun


class SchedulerUnderTest:
    """One control process' worth of scheduling over the store in ``home``; ``kill`` it and make another."""

    def __init__(
        self, home: Path, clock: MachineClock, *, gateway_retry_period: float = GATEWAY_RETRY_PERIOD
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
        self.ticks = _DyingTicks(self.context, self.log)
        self.hand_over = Dispatcher(self.context, self.log, retry_period=gateway_retry_period)
        self.scheduler = CronScheduler(self.context, self.ticks, self.hand_over, wall_clock=lambda: self.clock.wall)
        self.history = DeliveryHistory(self.context, self.log, self.ticks, self.hand_over)
        with self.store.transaction():
            self.log.mark_interrupted()

    async def start(self) -> None:
        """Plan, and fire what a short down time left behind."""
        self.scheduler.load()
        await self.scheduler.fire_due()

    async def at(self, moment: float) -> None:
        """The machine's clock shows this, and the scheduler looks."""
        self.clock.wall = moment
        await self.scheduler.fire_due()

    async def dies_at(self, moment: float, step: str) -> None:
        """As ``at``, but the process dies at this step, if it comes to it."""
        self.ticks.dies = step
        try:
            await self.at(moment)
        except Crash:
            pass
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Everything in memory is gone; nothing more is written."""
        self.log._buffer.clear()
        await self.context.tasks.stop()
        for _ in range(3):  # until the sockets are closed
            await asyncio.sleep(0)
        self.log._buffer.clear()
        if self.log._flush_timer is not None:
            self.log._flush_timer.cancel()
        self.context.secrets.close()
        self.store.close()

    async def quiet(self) -> None:
        """Return when nothing is under way any more."""
        while tasks := list(self.context.tasks._tasks):
            await asyncio.wait(tasks)

    def fired(self, cron_id: str, cause: str = "tick") -> list[Delivery]:
        """A cron's deliveries, oldest first."""
        found = self.log.table().page(cron_id, limit=10_000)
        return [one for one, _ in reversed(found) if one.cause == cause]

    def change(self, cron_id: str, *, tell: bool = True, **fields: object) -> None:
        """Change a cron's record, and tell the scheduler, as the API does once a change has settled."""
        record = self.store.crons.get(cron_id)
        assert record is not None
        with self.store.transaction():
            self.store.crons.update(msgspec.structs.replace(record, **fields))
        if tell:
            self.scheduler.on_cron_changed(cron_id)
