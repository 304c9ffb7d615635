"""The stored form of an additional API key."""

from __future__ import annotations

import msgspec

__all__ = ["ApiKeyRecord"]


class ApiKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An additional API key and its permissions.

    Attributes:
        access_key: The key's public name: ``SCW`` followed by 17 characters of ``A-Z0-9``.
        sha256: SHA-256 of the secret key, in hex. An unsalted fast hash is enough here because the secret is a
            random UUID, not a password that could be guessed.
        created_at: RFC 3339, platform time.
        read_only: Whether the key may only read.
        project_id: The only project the key can access, or ``None`` for all projects.
        description: Free text.
    """

    access_key: str
    sha256: str
    created_at: str
    read_only: bool = False
    project_id: str | None = None
    description: str = ""
