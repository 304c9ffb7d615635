"""Authorization of requests to private functions: API keys, and tokens signed by the platform.

A request is authorized before an instance is started for it. ``docs/api-behaviour.md`` describes tokens and keys.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from fnkit.platform.routing import Credentials, KeyGrant, Route

if TYPE_CHECKING:
    from fnkit.platform.gateway.tokens import TokenReader

__all__ = ["TOKEN_HEADERS", "Access"]

TOKEN_HEADERS: Final = {b"x-auth-token": 0, b"scw-functions-token": 1, b"scw_functions_token": 2}
"""Headers that may carry a credential, with their priority: the current one, then two of older runtimes."""

_MISSING: Final = "this function is private: X-Auth-Token is missing"
_INVALID: Final = "this function is private: X-Auth-Token is not valid"
_ENDED: Final = "this function is private: the token in X-Auth-Token has expired"
_FOREIGN: Final = "this function is private: X-Auth-Token does not give access to it"


class Access:
    """Checks the credential of a request against API keys and tokens. Not thread-safe.

    It keeps hashes of API keys, the ids of valid tokens and the public key that verifies them; no secrets.

    Args:
        secret_key: The platform's own API key, which may call every function.
        now: Returns platform time in Unix seconds, which decides whether a token has expired.
    """

    def __init__(self, secret_key: str, now: Callable[[], float] = time.time) -> None:
        self._own = KeyGrant(sha256=_digest(secret_key.encode()))
        self._now = now
        self._projects: dict[bytes, str | None] = {}
        self._live: set[str] = set()
        self._reader: TokenReader | None = None
        self.replace_keys(())

    def replace(self, credentials: Credentials) -> None:
        """Replace all credentials except the platform's own key."""
        self.replace_keys(credentials.keys)
        self.trust(credentials.public_key)
        self._live = set(credentials.tokens)

    def replace_keys(self, keys: Iterable[KeyGrant]) -> None:
        """Replace all API keys except the platform's own."""
        self._projects = {grant.sha256: grant.project_id for grant in (*keys, self._own)}

    def change_tokens(self, issued: Iterable[str], revoked: Iterable[str]) -> None:
        """Add and remove valid tokens, by id."""
        self._live.update(issued)
        self._live.difference_update(revoked)

    def trust(self, public_key: str) -> None:
        """Set the PEM key that verifies tokens; empty if no token exists."""
        if not public_key:
            self._reader = None
        elif self._reader is None or self._reader.public_key != public_key:
            # Importing PyJWT and cryptography takes 50 ms, which platforms without tokens need not pay.
            from fnkit.platform.gateway.tokens import TokenReader

            self._reader = TokenReader(public_key)

    def is_secret_key(self, token: bytes) -> bool:
        """Return whether this is the secret of a known API key."""
        return _digest(token) in self._projects

    def denial(self, route: Route, token: bytes | None) -> str | None:
        """Return why a request with this credential may not call the function; ``None`` if it may.

        No constant-time comparison is needed: keys are looked up by SHA-256, and an attacker cannot choose inputs
        whose digests approach a stored one.
        """
        if route.privacy != "private":
            return None
        if token is None:
            return _MISSING
        digest = _digest(token)
        if digest in self._projects:
            project = self._projects[digest]
            return None if project is None or project == route.project_id else _FOREIGN
        return self._token_denial(route, token, digest)

    def _token_denial(self, route: Route, token: bytes, digest: bytes) -> str | None:
        claims = self._reader.read(token, digest) if self._reader is not None else None
        if claims is None or claims.jti not in self._live:
            return _INVALID
        if not claims.is_for(route.function_id, route.namespace_id):
            return _FOREIGN
        if claims.exp is not None and self._now() >= claims.exp:
            return _ENDED
        return None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
