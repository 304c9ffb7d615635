"""The stored form of a custom domain."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["DomainRecord"]


class DomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A custom hostname bound to a function.

    Attributes:
        id: UUID.
        region: The region of the domain and its function.
        function_id: The function that serves the hostname.
        hostname: Lower case, without a port.
        created_at: Platform time in Unix nanoseconds.
        status: Current status.
        routed: Whether the hostname is part of the function's route. Set right before the domain becomes ready,
            cleared when it is deleted.
        was_ready: Whether the domain was ever ready. The real API keeps showing the URL of such a domain while it
            is being deleted.
        error_message: Why the domain is in status ``error``.
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
