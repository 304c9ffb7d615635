"""The legal status transitions of each kind of record, as recorded from the real API (docs/api-behaviour.md)."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from fnkit.contract.enums import Status
from fnkit.errors import PlatformError
from fnkit.platform.records.cron import CronRecord
from fnkit.platform.records.domain import DomainRecord
from fnkit.platform.records.function import FunctionRecord
from fnkit.platform.records.namespace import NamespaceRecord
from fnkit.platform.records.token import TokenRecord
from fnkit.platform.records.trigger import TriggerRecord

__all__ = ["InvalidTransition", "StatefulRecord", "can_transition", "transition"]

StatefulRecord = TypeVar(
    "StatefulRecord", NamespaceRecord, FunctionRecord, CronRecord, DomainRecord, TokenRecord, TriggerRecord
)

_AFTER_SETTLED: Final = frozenset({Status.PENDING, Status.DELETING})
_AFTER_PENDING: Final = frozenset({Status.PENDING, Status.READY, Status.ERROR, Status.DELETING})
_ALLOWED_TRANSITIONS: Final[dict[type, dict[Status, frozenset[Status]]]] = {
    NamespaceRecord: {
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    FunctionRecord: {
        Status.CREATED: _AFTER_SETTLED,
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    CronRecord: {
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    DomainRecord: {
        Status.PENDING: frozenset({Status.READY, Status.ERROR, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
        Status.ERROR: frozenset({Status.DELETING}),
        Status.DELETING: frozenset(),
    },
    TokenRecord: {
        Status.CREATING: frozenset({Status.READY, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
        Status.DELETING: frozenset(),
    },
    TriggerRecord: {
        Status.CREATING: _AFTER_PENDING,
        Status.PENDING: _AFTER_PENDING,
        Status.READY: frozenset({Status.PENDING, Status.ERROR, Status.DELETING}),
        Status.ERROR: frozenset({Status.PENDING, Status.READY, Status.DELETING}),
        Status.DELETING: frozenset(),
    },
}


class InvalidTransition(PlatformError):
    """A status change that the record's current status does not allow: a bug in the platform, not in a request."""

    default_code = "impossible-transition"


def can_transition(record: StatefulRecord, status: Status) -> bool:
    """Return whether the record may change to ``status``."""
    return status in _ALLOWED_TRANSITIONS[type(record)].get(record.status, frozenset())


def transition(record: StatefulRecord, status: Status, **changes: object) -> StatefulRecord:
    """Return a copy of the record with the new status.

    Args:
        record: The current record.
        status: The new status.
        **changes: Other fields to replace, by name.

    Raises:
        InvalidTransition: The current status does not allow the new one.
    """
    if not can_transition(record, status):
        raise InvalidTransition(
            f"{type(record).__name__} {record.id} cannot change from {record.status} to {status}."
        )
    return msgspec.structs.replace(record, status=status, **changes)
