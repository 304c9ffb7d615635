"""Crons: their creation and changes, and the notification of the scheduler."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.contract.cron import schedule_error
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateCron, UpdateCron
from fnkit.contract.resources import Cron
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import invalid
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.kinds import CRONS, FUNCTIONS, build_view
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.model.records import CronRecord, FunctionRecord, RecordChanges, transition

_MAX_ARGS_BYTES: Final = 1024 * 1024


class Crons(Resource[CronRecord, Cron, CreateCron, UpdateCron]):
    """The operations on crons.

    Args:
        context: Shared dependencies.
        on_cron_changed: Called with a cron's id after the cron changed or was deleted.
    """

    def __init__(self, context: ControlContext, on_cron_changed: Callable[[str], None]) -> None:
        super().__init__(context, CRONS)
        self._on_cron_changed = on_cron_changed

    async def create(self, region: str, request: CreateCron) -> Cron:
        """Create a cron, which is returned as ``pending`` and becomes ready right after.

        The function need not have been deployed, as recorded from the real API.

        Raises:
            ControlError: A field is invalid or the function does not exist.
        """
        schedule = _validate_schedule(request.schedule)
        args = _validate_args(request.args or {})
        cron_id = str(uuid.uuid4())
        name = _validate_name(request.name, cron_id)
        with self._context.store.transaction():
            function = self._require_function(region, request.function_id)
            record = CronRecord(
                id=cron_id,
                region=region,
                project_id=function.project_id,
                function_id=function.id,
                schedule=schedule,
                args=args,
                name=name,
                created_at=self._context.clock.now_ns(),
            )
            self._records.insert(record)
        self._make_ready_in_background(record)
        return self._view(record)

    async def update(self, region: str, cron_id: str, request: UpdateCron) -> Cron:
        """Change the given fields of a cron, which is returned as ``pending`` and becomes ready right after.

        Given ``args`` replace the old ones completely. A changed schedule starts now: its earlier scheduled times
        do not count as missed.

        Raises:
            ControlError: A field is invalid, or the cron or its function does not exist or is being deleted.
        """
        given: RecordChanges = {}
        if request.schedule:
            given["schedule"] = _validate_schedule(request.schedule)
        if request.args is not None:
            given["args"] = _validate_args(request.args)
        if request.name is not None:
            given["name"] = _validate_name(request.name, cron_id)
        with self._context.store.transaction():
            current = self.get_writable(region, cron_id)
            if request.function_id:
                function = self._require_function(region, request.function_id)
                given |= {"function_id": function.id, "project_id": function.project_id}
            if (request.schedule or current.schedule) != current.schedule:
                given["schedule_changed_at"] = self._context.clock.now_ns()
            record = transition(current, Status.PENDING, **given)
            self._records.update(record)
        self._make_ready_in_background(record)
        return self._view(record)

    async def make_ready(self, record: CronRecord) -> None:
        """Make a pending cron ready and notify the scheduler."""
        await super().make_ready(record)
        self._on_cron_changed(record.id)

    async def _stop(self, record: CronRecord) -> None:
        self._on_cron_changed(record.id)

    def _view(self, record: CronRecord) -> Cron:
        return build_view(Cron, record)

    def _require_function(self, region: str, function_id: str | None) -> FunctionRecord:
        function_id = validation.uuid_text("function_id", function_id)
        return FUNCTIONS.require(self._context.store, region, function_id)


def _validate_schedule(schedule: str | None) -> str:
    schedule = validation.required_text("schedule", schedule)
    if fault := schedule_error(schedule):
        raise invalid("schedule", f"is not a valid cron expression: {fault}")
    return schedule


def _validate_name(name: str | None, cron_id: str) -> str:
    """Return the name of a cron, which is ``cron-<id>`` if none is given, as recorded from the real API."""
    return validation.text("name", name or f"cron-{cron_id}")


def _validate_args(args: dict[str, object]) -> dict[str, object]:
    if len(msgspec.json.encode(args)) > _MAX_ARGS_BYTES:
        raise invalid("args", f"must be at most {_MAX_ARGS_BYTES} bytes of JSON")
    return args
