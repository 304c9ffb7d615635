"""Crons: create, get, list, update, delete."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.cron import schedule_fault
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateCron, UpdateCron
from fnkit.contract.resources import Cron
from fnkit.platform.control import validation
from fnkit.platform.control.context import ControlContext, persistently
from fnkit.platform.control.functions import Functions
from fnkit.platform.control.listing import BY_AGE, read_listing
from fnkit.platform.control.refusals import invalid, not_found, required, transient_state
from fnkit.platform.control.showcase import Shelf, Showcase
from fnkit.platform.control.views import cron_view
from fnkit.platform.records.cron import CronRecord
from fnkit.platform.records.transitions import moved

__all__ = ["Crons"]

_ARGS_MAX_BYTES: Final = 1024 * 1024


class Crons:
    """The operations on crons."""

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        self._context = context
        self._functions = functions
        self._showcase = Showcase(context.store.crons, cron_view)

    def create(self, region: str, request: CreateCron) -> Cron:
        """Answer ``pending``; it is ready right after. The function need not have been deployed (recorded)."""
        schedule = _schedule(request.schedule)
        args = _args(request.args or {})
        name = validation.text("name", request.name or "")
        with self._context.store.transaction():
            record = CronRecord(
                id=str(uuid.uuid4()),
                region=region,
                function_id=self._function(region, request.function_id),
                schedule=schedule,
                args=args,
                name=name,
                created_at=self._context.clock.now_ns(),
            )
            self._context.store.crons.insert(record)
        self._context.tasks.start(self.settle(record), f"cron {record.id}")
        return cron_view(record)

    def get(self, region: str, cron_id: str) -> msgspec.Raw:
        """Return one, ready to send."""
        if (shown := self._showcase.show(region, cron_id)) is None:
            raise not_found("Cron")
        return shown

    def list(self, region: str, query: Mapping[str, str]) -> Shelf:
        """Return a page of a function's crons."""
        if not query.get("function_id"):
            raise required("function_id")
        listing = read_listing(query, BY_AGE, ("function_id",))
        return self._showcase.page("crons", region, listing)

    def update(self, region: str, cron_id: str, request: UpdateCron) -> Cron:
        """Answer ``pending``; ``args`` replaces, what is not given stays."""
        schedule = _schedule(request.schedule) if request.schedule else None
        args = None if request.args is None else _args(request.args)
        name = None if request.name is None else validation.text("name", request.name)
        with self._context.store.transaction():
            now = self._writable(region, cron_id)
            function_id = self._function(region, request.function_id) if request.function_id else now.function_id
            record = moved(
                now,
                Status.PENDING,
                schedule=schedule or now.schedule,
                args=now.args if args is None else args,
                name=now.name if name is None else name,
                function_id=function_id,
                since=now.since if schedule in (None, now.schedule) else self._context.clock.now_ns(),
            )
            self._context.store.crons.update(record)
        self._context.tasks.start(self.settle(record), f"cron {record.id}")
        return cron_view(record)

    def delete(self, region: str, cron_id: str) -> Cron:
        """Answer ``deleting``; then it is gone."""
        with self._context.store.transaction():
            record = moved(self._writable(region, cron_id), Status.DELETING)
            self._context.store.crons.update(record)
        self._context.cron_changed(record.id)
        self._context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return cron_view(record)

    async def settle(self, record: CronRecord) -> None:
        """Bring a pending cron to ready."""
        await persistently(lambda: self._settled(record))
        self._context.cron_changed(record.id)

    async def purge(self, cron_id: str) -> None:
        """Forget a cron that is being deleted."""
        store = self._context.store

        def forget() -> None:
            with store.transaction():
                store.deliveries.drop(cron_id)
                store.crons.delete(cron_id)

        await persistently(forget)

    def _settled(self, record: CronRecord) -> None:
        store = self._context.store
        with store.transaction():
            now = store.crons.get(record.id)
            if now is not None and now.status is Status.PENDING:
                store.crons.update(moved(now, Status.READY))

    def _record(self, region: str, cron_id: str) -> CronRecord:
        record = self._context.store.crons.get(cron_id)
        if record is None or record.region != region:
            raise not_found("Cron")
        return record

    def _writable(self, region: str, cron_id: str) -> CronRecord:
        record = self._record(region, cron_id)
        if record.status is Status.DELETING:
            raise transient_state("cron", record.id, record.status)
        return record

    def _function(self, region: str, function_id: str | None) -> str:
        record = self._functions.record(region, validation.uuid_text("function_id", function_id))
        if record.status is Status.DELETING:
            raise not_found("Function")
        return record.id


def _schedule(text: str | None) -> str:
    if not text:
        raise required("schedule")
    if fault := schedule_fault(text):
        raise invalid("schedule", f"is not a cron expression: {fault}")
    return text


def _args(args: dict[str, object]) -> dict[str, object]:
    if len(msgspec.json.encode(args)) > _ARGS_MAX_BYTES:
        raise invalid("args", f"must be at most {_ARGS_MAX_BYTES} bytes of JSON")
    return args
