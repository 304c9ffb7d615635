"""The kinds of resources: one table of what differs between them, and the operations that follow from it.

A kind's rules for creation and changes are in the module of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, Unpack

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.control.errors import not_found
from fnkit.platform.control.store.collection import Collection, Order
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.records import (
    CronRecord,
    DomainRecord,
    FunctionRecord,
    NamespaceRecord,
    RecordChanges,
    ResourceRecord,
    TokenRecord,
    TriggerRecord,
    transition,
)

Record = TypeVar("Record", bound=ResourceRecord)
View = TypeVar("View", bound=msgspec.Struct)


def _orders(*columns: str) -> dict[str, Order]:
    """Return the orders of a kind: by creation, and by the given columns."""
    orders = {"created_at_asc": Order(), "created_at_desc": Order(descending=True)}
    for column in columns:
        orders |= {f"{column}_asc": Order(column), f"{column}_desc": Order(column, descending=True)}
    return orders


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind(Generic[Record]):
    """What distinguishes a kind of resource from the others.

    Attributes:
        name: The kind in error responses and in names of fields, such as ``function`` of ``function_id``.
        collection: Returns the kind's records.
        filters: The filters of its lists, which are also columns.
        orders: The values of ``order_by`` of its lists.
        attached_to: Names of the kinds that a resource is deleted with.
        has_deliveries: Whether the delivery log has deliveries of a resource, which are deleted with it.
        deleting_changes: What changes in a record with the status ``deleting``.
    """

    name: str
    collection: Callable[[Store], Collection[Record]]
    filters: tuple[str, ...]
    orders: Mapping[str, Order] = field(default_factory=_orders)
    attached_to: tuple[str, ...] = ()
    has_deliveries: bool = False
    deleting_changes: RecordChanges = field(default_factory=RecordChanges)

    @property
    def title(self) -> str:
        """The kind at the start of a sentence, such as ``Function``."""
        return self.name.capitalize()

    @property
    def plural(self) -> str:
        """The kind in paths and in lists, such as ``functions``."""
        return f"{self.name}s"

    def find(self, store: Store, region: str, record_id: str) -> Record | None:
        """Return the record with this id in the region, in any status, or ``None``."""
        record = self.collection(store).get(record_id)
        return record if record is not None and record.region == region else None

    def require(self, store: Store, region: str, record_id: str) -> Record:
        """Return the record that a request refers to.

        Raises:
            ControlError: 404, there is none or it is being deleted.
        """
        record = self.find(store, region, record_id)
        if record is None or record.status is Status.DELETING:
            raise not_found(self.title)
        return record

    def project_of(self, store: Store, record_id: str) -> str | None:
        """Return the project of a resource in any region, ``None`` if it does not exist."""
        record = self.collection(store).get(record_id)
        return None if record is None else record.project_id

    def mark_deleting(self, store: Store, record: Record, **changes: Unpack[RecordChanges]) -> Record:
        """Store a record with the status ``deleting``. Call this in a transaction.

        Args:
            store: The store.
            record: A record that is not being deleted.
            **changes: Further fields to change.
        """
        all_changes: RecordChanges = {**self.deleting_changes, **changes}
        deleting = transition(record, Status.DELETING, **all_changes)
        self.collection(store).update(deleting)
        return deleting

    def delete(self, store: Store, record_id: str) -> None:
        """Delete a record and its deliveries. Call this in a transaction."""
        if self.has_deliveries:
            store.deliveries.delete_by_source(record_id)
        self.collection(store).delete(record_id)


NAMESPACES: Final[ResourceKind[NamespaceRecord]] = ResourceKind(
    name="namespace",
    collection=lambda store: store.namespaces,
    filters=("name", "organization_id", "project_id"),
    orders=_orders("name"),
    deleting_changes={"error_message": None},
)
FUNCTIONS: Final[ResourceKind[FunctionRecord]] = ResourceKind(
    name="function",
    collection=lambda store: store.functions,
    filters=("namespace_id", "name", "organization_id", "project_id"),
    orders=_orders("name"),
    deleting_changes={"error_message": None, "build_message": None},
)
CRONS: Final[ResourceKind[CronRecord]] = ResourceKind(
    name="cron",
    collection=lambda store: store.crons,
    filters=("function_id", "project_id"),
    attached_to=("function",),
    has_deliveries=True,
)
DOMAINS: Final[ResourceKind[DomainRecord]] = ResourceKind(
    name="domain",
    collection=lambda store: store.domains,
    filters=("function_id", "project_id"),
    orders=_orders("hostname"),
    attached_to=("function",),
    deleting_changes={"routed": False, "error_message": None},
)
TOKENS: Final[ResourceKind[TokenRecord]] = ResourceKind(
    name="token",
    collection=lambda store: store.tokens,
    filters=("function_id", "namespace_id", "project_id"),
    attached_to=("function", "namespace"),
)
TRIGGERS: Final[ResourceKind[TriggerRecord]] = ResourceKind(
    name="trigger",
    collection=lambda store: store.triggers,
    filters=("function_id", "namespace_id", "project_id"),
    attached_to=("function",),
    has_deliveries=True,
    deleting_changes={"error_message": None},
)

_ALL: Final[tuple[ResourceKind[Any], ...]] = (NAMESPACES, FUNCTIONS, CRONS, DOMAINS, TOKENS, TRIGGERS)
KINDS: Final[Mapping[str, ResourceKind[Any]]] = {kind.plural: kind for kind in _ALL}
"""The kinds by their name in paths."""


def mark_attached_deleting(store: Store, kind: ResourceKind[Record], record_id: str) -> None:
    """Mark what is attached to a function or namespace as ``deleting``. Call this in its transaction.

    The gateway need not be told of tokens, because the functions that they grant access to are no longer served.
    """
    for attached, record in _attached_records(store, kind, record_id):
        if record.status is not Status.DELETING:
            attached.mark_deleting(store, record)


def delete_with_attached(store: Store, kind: ResourceKind[Record], record_id: str) -> None:
    """Delete a resource, what is attached to it, and the deliveries of both. Call this in a transaction."""
    for attached, record in _attached_records(store, kind, record_id):
        attached.delete(store, record.id)
    kind.delete(store, record_id)


def _attached_records(
    store: Store, kind: ResourceKind[Record], record_id: str
) -> Iterator[tuple[ResourceKind[Any], ResourceRecord]]:
    """Yield what is attached to a function or namespace, each with its kind."""
    for attached in _ALL:
        if kind.name in attached.attached_to:
            for record in attached.collection(store).all(**{f"{kind.name}_id": record_id}):
                yield attached, record


def build_view(view_type: type[View], *records: msgspec.Struct, **fields: object) -> View:
    """Return an object of the API with the records' fields of the same names, and with the given fields.

    A field that is ``UNSET`` is absent.

    Raises:
        msgspec.ValidationError: A field has no value, or one of the wrong type: a bug.
    """
    values: dict[str, object] = {}
    for record in records:
        values |= msgspec.structs.asdict(record)
    values |= fields
    return msgspec.convert({name: one for name, one in values.items() if one is not msgspec.UNSET}, view_type)
