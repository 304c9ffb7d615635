"""A secret at rest: what the API shows of it, and its sealed value."""

from __future__ import annotations

import msgspec

__all__ = ["StoredSecret"]


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """``hashed_value`` is an argon2id PHC string; ``sealed`` is the encrypted value (``store.vault``)."""

    key: str
    hashed_value: str
    sealed: bytes

    def __repr__(self) -> str:
        """Show the key alone."""
        return f"StoredSecret({self.key!r})"
