"""The stored form of a secret."""

from __future__ import annotations

import msgspec

__all__ = ["StoredSecret"]


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of a function or namespace.

    Attributes:
        key: Name of the environment variable.
        hashed_value: argon2id hash in PHC format, which the API returns in place of the value.
        ciphertext: The value, encrypted by ``Vault`` for its owner and key.
    """

    key: str
    hashed_value: str
    ciphertext: bytes

    def __repr__(self) -> str:
        """Return a representation without hash and ciphertext."""
        return f"StoredSecret({self.key!r})"
