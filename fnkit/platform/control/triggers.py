"""Triggers: create, get, list, update, delete; what the schedulers listen to."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateTrigger, UpdateTrigger
from fnkit.contract.resources import Trigger
from fnkit.platform.control import validation
from fnkit.platform.control.context import ControlContext, persistently
from fnkit.platform.control.functions import Functions
from fnkit.platform.control.listing import BY_AGE, read_listing
from fnkit.platform.control.refusals import Refusal, not_found, transient_state
from fnkit.platform.control.showcase import Shelf, Showcase
from fnkit.platform.control.trigger_sources import TriggerSources
from fnkit.platform.control.views import trigger_view
from fnkit.platform.records.transitions import moved
from fnkit.platform.records.trigger import SqsSource, TriggerRecord, TriggerSource

__all__ = ["Triggers"]

_MISSING: Final = "trigger does not exist"  # recorded, as the longer form for writes is
_FILTERS: Final = ("function_id", "namespace_id", "project_id")
_LIVE: Final = (Status.READY, Status.ERROR)


class Triggers:
    """The operations on triggers."""

    def __init__(self, context: ControlContext, functions: Functions, sources: TriggerSources) -> None:
        self._context = context
        self._functions = functions
        self._sources = sources
        self._showcase = Showcase(context.store.triggers, trigger_view)

    def create(self, region: str, request: CreateTrigger) -> Trigger:
        """Answer ``creating``; it is ready right after. The function need not have been deployed (recorded)."""
        store = self._context.store
        name = validation.trigger_name(request.name)
        description = validation.text("description", request.description or "")
        function_id = validation.uuid_text("function_id", request.function_id)
        with store.transaction():
            function = self._functions.record(region, function_id)
            if function.status is Status.DELETING:
                raise not_found("Function")
            trigger_id = str(uuid.uuid4())
            record = TriggerRecord(
                id=trigger_id,
                region=region,
                function_id=function.id,
                namespace_id=function.namespace_id,
                project_id=function.project_id,
                name=name,
                description=description,
                source=self._sources.made(trigger_id, request, region, function.project_id),
                created_at=self._context.clock.now_ns(),
            )
            store.triggers.insert(record)
        self._context.tasks.start(self.settle(record), f"trigger {record.id}")
        return trigger_view(record)

    def get(self, region: str, trigger_id: str) -> msgspec.Raw:
        """Return one, ready to send."""
        if (shown := self._showcase.show(region, trigger_id)) is None:
            raise Refusal(404, _MISSING)
        return shown

    def live(self) -> list[TriggerRecord]:
        """Return the triggers whose queue or subject is to be listened to."""
        return [record for record in self._context.store.triggers.every() if record.status in _LIVE]

    def live_one(self, trigger_id: str) -> TriggerRecord | None:
        """Return that trigger where it is one to be listened to."""
        record = self._context.store.triggers.get(trigger_id)
        return record if record is not None and record.status in _LIVE else None

    def secret_key(self, record: TriggerRecord) -> str:
        """Return the secret key of a trigger on a queue anywhere, in clear; ``""`` where it has none."""
        source = record.source
        return self._sources.secret_key(record.id, source) if isinstance(source, SqsSource) else ""

    async def listened(self, trigger_id: str, fault: str | None) -> None:
        """Say how listening goes: ``None``, or what the broker says (decision 29)."""
        await persistently(lambda: self._heard(trigger_id, fault))

    def list(self, region: str, query: Mapping[str, str]) -> Shelf:
        """Return a page: of a region, a project, a namespace or a function."""
        return self._showcase.page("triggers", region, read_listing(query, BY_AGE, _FILTERS))

    def update(self, region: str, trigger_id: str, request: UpdateTrigger) -> Trigger:
        """Change what is given; other keys take the trigger through ``pending``, words do not."""
        store = self._context.store
        name = validation.trigger_name(request.name) if request.name else None
        description = None if request.description is None else validation.text("description", request.description)
        keys = request.sqs_config
        with store.transaction():
            now = self._writable(region, trigger_id)
            record = msgspec.structs.replace(
                now,
                name=now.name if name is None else name,
                description=now.description if description is None else description,
            )
            if keys is not None:
                source = self._sources.rekeyed(now.id, now.source, keys.access_key, keys.secret_key)
                record = moved(record, Status.PENDING, source=source, error_message=None)
            store.triggers.update(record)
        if keys is not None:
            self._context.tasks.start(self.settle(record), f"trigger {record.id}")
        return trigger_view(record)

    def delete(self, region: str, trigger_id: str) -> Trigger:
        """Answer ``deleting``; then it is gone."""
        store = self._context.store
        with store.transaction():
            record = moved(self._writable(region, trigger_id), Status.DELETING, error_message=None)
            store.triggers.update(record)
        self._context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return trigger_view(record)

    async def settle(self, record: TriggerRecord) -> None:
        """Bring a new or changed trigger to ready. Without a broker it stays so, and idle (decision 29)."""
        await persistently(lambda: self._settled(record))

    async def purge(self, trigger_id: str) -> None:
        """Forget a trigger that is being deleted."""
        store = self._context.store

        def forget() -> None:
            with store.transaction():
                store.deliveries.drop(trigger_id)
                store.triggers.delete(trigger_id)

        await persistently(forget)

    def _settled(self, record: TriggerRecord) -> None:
        store = self._context.store
        with store.transaction():
            now = store.triggers.get(record.id)
            if now is not None and now.status in (Status.CREATING, Status.PENDING):
                store.triggers.update(moved(now, Status.READY, source=_with_credential(now.source)))

    def _heard(self, trigger_id: str, fault: str | None) -> None:
        now = self.live_one(trigger_id)
        if now is None or now.error_message == fault:
            return
        store, status = self._context.store, Status.READY if fault is None else Status.ERROR
        with store.transaction():
            if now.status is status:
                store.triggers.update(msgspec.structs.replace(now, error_message=fault))
            else:
                store.triggers.update(moved(now, status, error_message=fault))

    def _writable(self, region: str, trigger_id: str) -> TriggerRecord:
        record = self._context.store.triggers.get(trigger_id)
        if record is None or record.region != region:
            raise Refusal(404, f"{_MISSING}: could not find trigger with id {trigger_id}")
        if record.status is Status.DELETING:
            raise transient_state("trigger", record.id, record.status)
        return record


def _with_credential(source: TriggerSource) -> TriggerSource:
    """Give a source of Scaleway's the credential that it is read with."""
    if isinstance(source, SqsSource) or source.credential_id is not None:
        return source
    return msgspec.structs.replace(source, credential_id=str(uuid.uuid4()))
