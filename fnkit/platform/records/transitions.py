"""Which status may follow which, for every kind of record (recorded traffic; facts in docs/api-behaviour.md)."""

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

__all__ = ["ImpossibleTransition", "Stateful", "may_become", "moved"]

Stateful = TypeVar(
    "Stateful", NamespaceRecord, FunctionRecord, CronRecord, DomainRecord, TokenRecord, TriggerRecord
)

_SETTLED: Final = frozenset({Status.PENDING, Status.DELETING})
_WORKING: Final = frozenset({Status.PENDING, Status.READY, Status.ERROR, Status.DELETING})
_TABLE: Final[dict[type, dict[Status, frozenset[Status]]]] = {
    NamespaceRecord: {
        Status.PENDING: _WORKING,
        Status.READY: _SETTLED,
        Status.ERROR: _SETTLED,
        Status.DELETING: frozenset(),
    },
    FunctionRecord: {
        Status.CREATED: _SETTLED,
        Status.PENDING: _WORKING,
        Status.READY: _SETTLED,
        Status.ERROR: _SETTLED,
        Status.DELETING: frozenset(),
    },
    CronRecord: {
        Status.PENDING: _WORKING,
        Status.READY: _SETTLED,
        Status.ERROR: _SETTLED,
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
        Status.CREATING: _WORKING,
        Status.PENDING: _WORKING,
        Status.READY: frozenset({Status.PENDING, Status.ERROR, Status.DELETING}),
        Status.ERROR: frozenset({Status.PENDING, Status.READY, Status.DELETING}),
        Status.DELETING: frozenset(),
    },
}


class ImpossibleTransition(PlatformError):
    """The control plane tried a step that no record may take; a fault of ours, never of a client."""

    default_code = "impossible-transition"


def may_become(record: Stateful, status: Status) -> bool:
    """Whether ``status`` may follow the record's own."""
    return status in _TABLE[type(record)].get(record.status, frozenset())


def moved(record: Stateful, status: Status, **changes: object) -> Stateful:
    """Return the record in its next status, with ``changes``.

    Raises:
        ImpossibleTransition: that status may not follow.
    """
    if not may_become(record, status):
        raise ImpossibleTransition(
            f"{type(record).__name__} {record.id} cannot go from {record.status} to {status}."
        )
    return msgspec.structs.replace(record, status=status, **changes)
