"""Who may call a private function (functions-contract §5)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from fnkit.platform.routing import Route

__all__ = ["TOKEN_HEADERS", "Access"]

TOKEN_HEADERS: Final = frozenset({b"x-auth-token", b"scw-functions-token"})
"""Today's header and the older one."""


class Access:
    """Checks credentials. Holds the hash of the secret key, never the key."""

    def __init__(self, secret_key: str) -> None:
        self._secret = hashlib.sha256(secret_key.encode()).digest()

    def is_secret_key(self, token: bytes) -> bool:
        """Say whether this is the platform's secret key, in constant time."""
        return hmac.compare_digest(hashlib.sha256(token).digest(), self._secret)

    def allows(self, route: Route, token: bytes | None) -> bool:
        """Say whether a request with this token may call the function; checked before anything wakes."""
        return route.privacy != "private" or (token is not None and self.is_secret_key(token))
