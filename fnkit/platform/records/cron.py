"""The stored form of a cron."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["CronRecord"]


class CronRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule on which ``args`` are sent to a function. Times are platform time in Unix nanoseconds.

    Attributes:
        id: UUID.
        region: The region of the cron and its function.
        function_id: The function to call.
        schedule: Cron expression, in UTC.
        args: The JSON body of each call.
        name: Free text.
        created_at: Creation time.
        status: Current status.
        schedule_changed_at: When ``schedule`` last changed, 0 if it never did. Runs scheduled before this time (or
            before ``created_at``) do not count as missed.
    """

    id: str
    region: str
    function_id: str
    schedule: str
    args: dict[str, object]
    name: str
    created_at: int
    status: Status = Status.PENDING
    schedule_changed_at: int = 0
