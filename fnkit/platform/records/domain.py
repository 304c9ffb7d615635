"""A custom hostname of a function, as the store keeps it."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["DomainRecord"]


class DomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A hostname bound to a function.

    routed: whether it is one of its function's hosts; it becomes so right before it is ready, and stops being so
    with its deletion. was_ready: whether it ever had a URL, which a deletion keeps showing (recorded).
    created_at: platform time in Unix nanoseconds.
    """

    id: str
    region: str
    function_id: str
    hostname: str
    created_at: int
    status: Status = Status.PENDING
    routed: bool = False
    was_ready: bool = False
    error_message: str | None = None
