"""What the cron scheduler asks of the store: which cron fires when, and each tick at most once.

A tick and its delivery are committed together before anything is sent, so that a control process that dies in
between never fires a tick twice.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.hosts import domain_name
from fnkit.platform.control.timestamps import rounded
from fnkit.platform.records.cron import Delivery

__all__ = ["Firing", "Planned", "Ticks"]

_NANOSECONDS: Final = 10**9
_REFUSED: Final = 300  # published for triggers: a status of 300 and more has failed


@dataclass(frozen=True, slots=True)
class Planned:
    """A cron that is ready: its schedule, and the moment (Unix seconds) after which its next tick lies."""

    schedule: str
    after: float


@dataclass(frozen=True, slots=True)
class Firing:
    """A tick that was begun: what goes to whom. timeout: the function's own, in real seconds."""

    delivery: Delivery
    host: str
    body: bytes
    timeout: float


class Ticks:
    """The ticks of every cron."""

    def __init__(self, context: ControlContext) -> None:
        self._context = context

    def ready(self) -> list[str]:
        """Return the ids of the crons that fire."""
        return [record.id for record in self._context.store.crons.every(status=Status.READY.value)]

    def planned(self, cron_id: str) -> Planned | None:
        """Return what to plan for a cron, or ``None`` where it does not fire."""
        record = self._context.store.crons.get(cron_id)
        if record is None or record.status is not Status.READY:
            return None
        last = self._context.store.deliveries.last_tick(cron_id)
        now = self._context.clock.now()
        return Planned(record.schedule, now if last is None else max(now, last))

    def begin(self, cron_id: str, tick: float) -> Firing | None:
        """Begin a tick; ``None`` where it had begun before, or where nothing is deployed that it could call."""
        store = self._context.store
        with store.transaction():
            record = store.crons.get(cron_id)
            function = store.functions.get(record.function_id) if record else None
            last = store.deliveries.last_tick(cron_id)
            if record is None or function is None or function.serving is None:
                return None
            if last is not None and tick <= last:
                return None
            body = msgspec.json.encode(record.args)
            delivery = Delivery(
                id=str(uuid.uuid4()),
                kind="cron",
                name=record.name,
                function=function.name,
                at=rounded(int(tick * _NANOSECONDS)),
                attempts=0,
                status="pending",
                body=body.decode(),
            )
            store.deliveries.begin_tick(cron_id, tick)
            store.deliveries.begin(cron_id, delivery)
        host = domain_name(function.host_label, function.region, self._context.settings.domain_suffix)
        return Firing(delivery, host, body, function.serving.settings.timeout / _NANOSECONDS)

    def finish(self, firing: Firing, *, attempts: int, http_status: int | None, duration_ms: float) -> None:
        """Write what came of a tick."""
        succeeded = http_status is not None and http_status < _REFUSED
        with self._context.store.transaction():
            self._context.store.deliveries.update(
                msgspec.structs.replace(
                    firing.delivery,
                    attempts=attempts,
                    status="succeeded" if succeeded else "failed",
                    http_status=http_status,
                    duration_ms=duration_ms,
                )
            )
