"""The stored form of a token."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status

__all__ = ["TokenRecord"]


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to call one private function, or all private functions of a namespace.

    The token itself is returned when it is created and is not stored.

    Attributes:
        id: UUID, which is also the ``jti`` claim of the JWT.
        region: The region of the function or namespace.
        project_id: The project of the function or namespace.
        function_id: The function, or ``None`` for a token of a namespace.
        namespace_id: The namespace, or ``None`` for a token of a function.
        created_at: Platform time in Unix nanoseconds.
        expires_at: Platform time in Unix seconds, or ``None`` for a token that does not expire.
        description: Free text.
        status: Current status.
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
