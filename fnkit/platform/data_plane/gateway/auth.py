"""Authorization of requests to private functions: API keys, and tokens signed by the platform.

A request is authorized before an instance is started for it. ``docs/api-behaviour.md`` describes tokens and keys.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from fnkit.platform.model.routing import AcceptedCredentials, KeyGrant, Route

if TYPE_CHECKING:
    from fnkit.platform.data_plane.gateway.token_verifier import TokenVerifier

TOKEN_HEADER_PRIORITIES: Final = {b"x-auth-token": 0, b"scw-functions-token": 1, b"scw_functions_token": 2}
"""Headers that may carry a credential, with their priority: the current one, then two of older runtimes."""
_MISSING: Final = "this function is private: X-Auth-Token is missing"
_INVALID: Final = "this function is private: X-Auth-Token is not valid"
_EXPIRED: Final = "this function is private: the token in X-Auth-Token has expired"
_WRONG_SCOPE: Final = "this function is private: X-Auth-Token does not give access to it"


class Authorizer:
    """Checks the credential of a request against API keys and tokens. Not thread-safe.

    It keeps hashes of API keys, the ids of valid tokens and the public key that verifies them; no secrets.

    Args:
        secret_key: The platform's own API key, which may call every function.
        now: Returns platform time in Unix seconds, which decides whether a token has expired.
    """

    def __init__(self, secret_key: str, now: Callable[[], float] = time.time) -> None:
        self._platform_key = KeyGrant(sha256=_sha256(secret_key.encode()))
        self._now = now
        self._project_by_key_hash: dict[bytes, str | None] = {}
        self._valid_token_ids: set[str] = set()
        self._token_verifier: TokenVerifier | None = None
        self.replace_keys(())

    def replace_credentials(self, credentials: AcceptedCredentials) -> None:
        """Replace all credentials except the platform's own key."""
        self.replace_keys(credentials.keys)
        self.set_public_key(credentials.public_key)
        self._valid_token_ids = set(credentials.tokens)

    def replace_keys(self, keys: Iterable[KeyGrant]) -> None:
        """Replace all API keys except the platform's own."""
        self._project_by_key_hash = {grant.sha256: grant.project_id for grant in (*keys, self._platform_key)}

    def update_tokens(self, issued: Iterable[str], revoked: Iterable[str]) -> None:
        """Add and remove valid tokens, by id."""
        self._valid_token_ids.update(issued)
        self._valid_token_ids.difference_update(revoked)

    def set_public_key(self, public_key: str) -> None:
        """Set the PEM key that verifies tokens; empty if no token exists."""
        if not public_key:
            self._token_verifier = None
        elif self._token_verifier is None or self._token_verifier.public_key != public_key:
            # Importing PyJWT and cryptography takes 50 ms and 5 MiB, which platforms without tokens need not pay.
            from fnkit.platform.data_plane.gateway.token_verifier import TokenVerifier

            self._token_verifier = TokenVerifier(public_key)

    def is_api_key(self, secret_key: bytes) -> bool:
        """Return whether this is the secret of a known API key."""
        return _sha256(secret_key) in self._project_by_key_hash

    def denial_reason(self, route: Route, token: bytes | None) -> str | None:
        """Return why a request with this credential may not call the function; ``None`` if it may.

        No constant-time comparison is needed: keys are looked up by SHA-256, and an attacker cannot choose inputs
        whose digests approach a stored one.
        """
        if route.privacy != "private":
            return None
        if token is None:
            return _MISSING
        digest = _sha256(token)
        if digest in self._project_by_key_hash:
            project = self._project_by_key_hash[digest]
            return None if project is None or project == route.project_id else _WRONG_SCOPE
        return self._token_denial_reason(route, token, digest)

    def _token_denial_reason(self, route: Route, token: bytes, digest: bytes) -> str | None:
        claims = self._token_verifier.verify(token, digest) if self._token_verifier is not None else None
        if claims is None or claims.jti not in self._valid_token_ids:
            return _INVALID
        if not claims.grants(route.function_id, route.namespace_id):
            return _WRONG_SCOPE
        if claims.exp is not None and self._now() >= claims.exp:
            return _EXPIRED
        return None


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
