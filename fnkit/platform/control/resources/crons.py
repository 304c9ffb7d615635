"""Operations on crons: create, get, list, update, delete."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.cron import schedule_error
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateCron, UpdateCron
from fnkit.contract.resources import Cron
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.errors import invalid, not_found, required, transient_state
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.lists import ORDER_BY_CREATED, ListResponse, RenderedCache, parse_list_query
from fnkit.platform.control.resources.views import cron_view
from fnkit.platform.model.records import CronRecord, transition

__all__ = ["Crons"]

_MAX_ARGS_BYTES: Final = 1024 * 1024


class Crons:
    """The operations on crons."""

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        self._context = context
        self._functions = functions
        self._cache = RenderedCache(context.store.crons, cron_view)

    def create(self, region: str, request: CreateCron) -> Cron:
        """Create a cron, which is returned as ``pending`` and becomes ready right after.

        The function need not have been deployed, as recorded from the real API.

        Raises:
            ControlError: A field is invalid or the function does not exist.
        """
        schedule = _validate_schedule(request.schedule)
        args = _validate_args(request.args or {})
        name = validation.text("name", request.name or "")
        with self._context.store.transaction():
            record = CronRecord(
                id=str(uuid.uuid4()),
                region=region,
                function_id=self._require_function(region, request.function_id),
                schedule=schedule,
                args=args,
                name=name,
                created_at=self._context.clock.now_ns(),
            )
            self._context.store.crons.insert(record)
        self._context.tasks.start(self.make_ready(record), f"cron {record.id}")
        return cron_view(record)

    def get(self, region: str, cron_id: str) -> msgspec.Raw:
        """Return a cron as encoded JSON.

        Raises:
            ControlError: 404.
        """
        if (rendered := self._cache.get(region, cron_id)) is None:
            raise not_found("Cron")
        return rendered

    def list(self, region: str, query: Mapping[str, str]) -> ListResponse:
        """Return a page of the crons of a function, which the query must name."""
        if not query.get("function_id"):
            raise required("function_id")
        list_query = parse_list_query(query, ORDER_BY_CREATED, ("function_id",))
        return self._cache.get_page("crons", region, list_query)

    def update(self, region: str, cron_id: str, request: UpdateCron) -> Cron:
        """Change the given fields of a cron, which is returned as ``pending`` and becomes ready right after.

        Given ``args`` replace the old ones completely. A changed schedule starts now: its earlier scheduled times
        do not count as missed.

        Raises:
            ControlError: A field is invalid, or the cron or its function does not exist or is being deleted.
        """
        schedule = _validate_schedule(request.schedule) if request.schedule else None
        args = None if request.args is None else _validate_args(request.args)
        name = None if request.name is None else validation.text("name", request.name)
        with self._context.store.transaction():
            current = self._get_writable(region, cron_id)
            function_id = (
                self._require_function(region, request.function_id) if request.function_id else current.function_id
            )
            record = transition(
                current,
                Status.PENDING,
                schedule=schedule or current.schedule,
                args=current.args if args is None else args,
                name=current.name if name is None else name,
                function_id=function_id,
                schedule_changed_at=current.schedule_changed_at
                if schedule in (None, current.schedule)
                else self._context.clock.now_ns(),
            )
            self._context.store.crons.update(record)
        self._context.tasks.start(self.make_ready(record), f"cron {record.id}")
        return cron_view(record)

    def delete(self, region: str, cron_id: str) -> Cron:
        """Return the cron as ``deleting`` and remove it in the background.

        Raises:
            ControlError: 404, or 409 if it is being deleted already.
        """
        with self._context.store.transaction():
            record = transition(self._get_writable(region, cron_id), Status.DELETING)
            self._context.store.crons.update(record)
        self._context.on_cron_changed(record.id)
        self._context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return cron_view(record)

    async def make_ready(self, record: CronRecord) -> None:
        """Make a pending cron ready and notify the scheduler."""
        await retry_until_written(lambda: self._mark_ready(record))
        self._context.on_cron_changed(record.id)

    async def purge(self, cron_id: str) -> None:
        """Delete a cron in status ``deleting``, and its deliveries, from the store."""
        store = self._context.store

        def forget() -> None:
            with store.transaction():
                store.deliveries.delete_by_source(cron_id)
                store.crons.delete(cron_id)

        await retry_until_written(forget)

    def _mark_ready(self, record: CronRecord) -> None:
        store = self._context.store
        with store.transaction():
            current = store.crons.get(record.id)
            if current is not None and current.status is Status.PENDING:
                store.crons.update(transition(current, Status.READY))

    def _get_record(self, region: str, cron_id: str) -> CronRecord:
        record = self._context.store.crons.get(cron_id)
        if record is None or record.region != region:
            raise not_found("Cron")
        return record

    def _get_writable(self, region: str, cron_id: str) -> CronRecord:
        record = self._get_record(region, cron_id)
        if record.status is Status.DELETING:
            raise transient_state("cron", record.id, record.status)
        return record

    def _require_function(self, region: str, function_id: str | None) -> str:
        record = self._functions.get_record(region, validation.uuid_text("function_id", function_id))
        if record.status is Status.DELETING:
            raise not_found("Function")
        return record.id


def _validate_schedule(schedule: str | None) -> str:
    if not schedule:
        raise required("schedule")
    if fault := schedule_error(schedule):
        raise invalid("schedule", f"is not a valid cron expression: {fault}")
    return schedule


def _validate_args(args: dict[str, object]) -> dict[str, object]:
    if len(msgspec.json.encode(args)) > _MAX_ARGS_BYTES:
        raise invalid("args", f"must be at most {_MAX_ARGS_BYTES} bytes of JSON")
    return args
