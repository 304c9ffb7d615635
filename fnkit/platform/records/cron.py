"""A cron and its deliveries as the store keeps them."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["CronRecord", "Delivery"]


class CronRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that POSTs ``args`` to a function. ``created_at`` is platform time in Unix nanoseconds."""

    id: str
    region: str
    function_id: str
    schedule: str
    args: dict[str, object]
    name: str
    created_at: int
    status: Status = Status.PENDING


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One firing of a cron or trigger.

    status: ``pending``, ``succeeded``, ``failed`` or ``dead``. at: the tick it belongs to, RFC 3339.
    http_status: what the function answered, or ``None``. duration_ms: real time of the last attempt.
    """

    id: str
    kind: str
    name: str
    function: str
    at: str
    attempts: int
    status: str
    http_status: int | None = None
    duration_ms: float | None = None
    body: str = ""
