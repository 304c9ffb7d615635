"""A token as the store keeps it: everything but the token itself, which is shown once and never kept."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["TokenRecord"]


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to call one function, or all of a namespace: exactly one of the two ids is there.

    id: also the JWT's ``jti``. expires_at: Unix seconds of platform time, ``None`` for never.
    created_at: platform time in Unix nanoseconds.
    """

    id: str
    region: str
    project_id: str
    function_id: str | None
    namespace_id: str | None
    created_at: int
    expires_at: int | None = None
    description: str = ""
    status: Status = Status.CREATING
