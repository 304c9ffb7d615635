"""A cron as the store keeps it."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["CronRecord"]


class CronRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that POSTs ``args`` to a function. Times are platform time in Unix nanoseconds.

    since: ticks count from here: the last change of the schedule; 0: from ``created_at``.
    """

    id: str
    region: str
    function_id: str
    schedule: str
    args: dict[str, object]
    name: str
    created_at: int
    status: Status = Status.PENDING
    since: int = 0
