"""A further API key as it is kept: its secret as a hash alone."""

from __future__ import annotations

import msgspec

__all__ = ["ApiKeyRecord"]


class ApiKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do.

    access_key: ``SCW`` and 17 of ``A-Z0-9``, the key's name. sha256: hex, of the secret key, which is a random
    UUID: nobody finds it from an unsalted hash. project_id: the one project it may see and touch, or ``None``.
    created_at: RFC 3339, platform time.
    """

    access_key: str
    sha256: str
    created_at: str
    read_only: bool = False
    project_id: str | None = None
    description: str = ""
