"""What all kinds of resources have in common: reading, listing, deletion, and the way to status ``ready``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.errors import ControlError, not_found, transient_state
from fnkit.platform.control.resources.kinds import ResourceKind, delete_with_attached, mark_attached_deleting
from fnkit.platform.control.resources.lists import ListResponse, RenderedCache, parse_list_query
from fnkit.platform.model.records import RecordChanges, ResourceRecord, transition

Record = TypeVar("Record", bound=ResourceRecord)
View = TypeVar("View", bound=msgspec.Struct)
CreateBody = TypeVar("CreateBody")
UpdateBody = TypeVar("UpdateBody")

UNREADY_STATUSES: Final = (Status.CREATING, Status.PENDING)


class Resource(ABC, Generic[Record, View, CreateBody, UpdateBody]):
    """The operations that every kind of resource has.

    A subclass adds the creation and the changes of its kind, and overrides where the kind differs.

    Args:
        context: Shared dependencies.
        kind: The kind of the resources.
    """

    def __init__(self, context: ControlContext, kind: ResourceKind[Record]) -> None:
        self._context = context
        self._kind = kind
        self._records = kind.collection(context.store)
        self._cache = RenderedCache(self._records, self._view)
        self._records.subscribe(context.held_reads.on_change)

    def get(self, region: str, record_id: str) -> msgspec.Raw:
        """Return a resource as encoded JSON.

        Raises:
            ControlError: 404.
        """
        if (rendered := self._cache.get(region, record_id)) is None:
            raise self._not_found()
        return rendered

    def is_transient(self, region: str, record_id: str) -> bool:
        """Return whether there is such a resource, in a status that soon changes."""
        return self._cache.is_transient(region, record_id)

    async def wait_until_settled(self, region: str, record_id: str) -> None:
        """Hold a read until the resource is in a final status or deleted, or until a second has passed."""
        await self._context.held_reads.hold(record_id, lambda: self.is_transient(region, record_id))

    def list(self, region: str, query: Mapping[str, str]) -> ListResponse:
        """Return a page of the resources that match the query's filters.

        Raises:
            ControlError: 400, a parameter is invalid.
        """
        return self._cache.get_page(self._kind.plural, region, parse_list_query(query, self._kind))

    @abstractmethod
    async def create(self, region: str, request: CreateBody) -> View:
        """Create a resource."""

    async def update(self, region: str, record_id: str, request: UpdateBody) -> View:
        """Change the given fields of a resource. Kinds without this operation do not override it."""
        raise NotImplementedError

    async def delete(self, region: str, record_id: str) -> View:
        """Return the resource as ``deleting`` once it has no more effect, and remove it in the background.

        Raises:
            ControlError: 404, or 409 if it is being deleted already.
        """
        with self._context.store.transaction():
            record = self.get_writable(region, record_id)
            deleting = self._mark_deleting(record)
        await self._stop(record)
        self._context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return self._changed_view(deleting)

    def get_record(self, region: str, record_id: str) -> Record:
        """Return the stored record in any status.

        Raises:
            ControlError: 404.
        """
        if (record := self._kind.find(self._context.store, region, record_id)) is None:
            raise self._not_found(record_id)
        return record

    def get_writable(self, region: str, record_id: str) -> Record:
        """Return a stored record that is not being deleted.

        Raises:
            ControlError: 404, or 409 if it is being deleted.
        """
        record = self.get_record(region, record_id)
        if record.status is Status.DELETING:
            raise transient_state(self._kind.name, record.id, record.status)
        return record

    async def make_ready(self, record: Record) -> None:
        """Make a new or changed resource ready.

        Args:
            record: The record as the request stored it.
        """
        await retry_until_written(lambda: self._mark_ready(record))

    async def purge(self, record_id: str) -> None:
        """Delete a resource in status ``deleting`` from the store, with everything attached to it."""
        await retry_until_written(lambda: self._forget(record_id))

    async def purge_deleting(self) -> None:
        """Delete the resources whose deletion an earlier process did not finish."""
        for record in self._records.all(status=Status.DELETING.value):
            await self.purge(record.id)

    async def resume(self) -> None:
        """Make the resources ready that an earlier process left unready."""
        for status in UNREADY_STATUSES:
            for record in self._records.all(status=status.value):
                await self._resume_one(record)

    @abstractmethod
    def _view(self, record: Record) -> View:
        """Return the API's object for a record."""

    def _changed_view(self, record: Record) -> View:
        """Return the answer to a write that changed the record."""
        return self._view(record)

    def _not_found(self, _changed_id: str | None = None) -> ControlError:
        """Return the 404 of a read, or of a write to ``_changed_id``."""
        return not_found(self._kind.title)

    def _mark_deleting(self, record: Record) -> Record:
        """Mark a resource and everything attached to it as ``deleting``, in the transaction of the request."""
        deleting = self._kind.mark_deleting(self._context.store, record, **self._deleting_changes())
        mark_attached_deleting(self._context.store, self._kind, record.id)
        return deleting

    async def _stop(self, record: Record) -> None:
        """End the effects of a resource that was just marked as ``deleting``.

        Args:
            record: The record before that.
        """

    def _forget(self, record_id: str) -> None:
        with self._context.store.transaction():
            delete_with_attached(self._context.store, self._kind, record_id)

    def _make_ready_in_background(self, record: Record) -> None:
        self._context.tasks.start(self.make_ready(record), f"{self._kind.name} {record.id}")

    async def _resume_one(self, record: Record) -> None:
        await self.make_ready(record)

    def _mark_ready(self, record: Record) -> None:
        self._update_unready(
            record, lambda current: transition(current, Status.READY, **self._ready_changes(current))
        )

    def _update_unready(self, record: Record, change: Callable[[Record], Record]) -> bool:
        """Change the stored record and return ``True``, unless it was deleted or became ready meanwhile."""
        with self._context.store.transaction():
            current = self._records.get(record.id)
            if current is None or current.status not in UNREADY_STATUSES:
                return False
            self._records.update(change(current))
        return True

    def _deleting_changes(self) -> RecordChanges:
        """Return what changes in a record when it is marked as ``deleting``."""
        return {}

    def _ready_changes(self, _record: Record) -> RecordChanges:
        """Return what changes in a record when it becomes ready."""
        return {}
