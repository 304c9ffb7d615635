"""Verification of the platform's tokens: signature and claims.

Imported when the first token exists, because of its dependencies.
"""

from __future__ import annotations

from typing import Final, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_MAX_TOKEN_BYTES: Final = 8192
"""Bytes. Tokens of the platform have about 1,100; longer ones are rejected before any computation."""
_MAX_CACHED_TOKENS: Final = 4096


class _TokenScope(msgspec.Struct, frozen=True):
    """The scope of a token. One of the two ids is empty."""

    namespace_id: str
    application_id: str


class TokenClaims(msgspec.Struct, frozen=True):
    """The claims of a token that are checked. ``exp``: Unix seconds of platform time, ``None`` for no expiry."""

    jti: str
    aud: Literal["functions"]
    application_claim: tuple[_TokenScope]
    exp: int | None = None

    def grants(self, function_id: str, namespace_id: str) -> bool:
        """Return whether the token is for this function or for its namespace."""
        (application,) = self.application_claim
        return application.application_id == function_id or application.namespace_id == namespace_id


class TokenVerifier:
    """Verifies signatures with one RSA public key. Only RS256 is accepted, whatever the header of a token states.

    A verification takes 0.1 ms, so verified tokens are cached by their hash. Expiry and deletion change over time
    and are checked by the caller.

    Args:
        public_key: PEM.

    Raises:
        TypeError: The key is not an RSA key.
    """

    def __init__(self, public_key: str) -> None:
        self.public_key: Final = public_key
        key = load_pem_public_key(public_key.encode())
        if not isinstance(key, RSAPublicKey):
            raise TypeError("not an RSA key")
        self._key = key
        self._jws = jwt.PyJWS()
        self._claims_decoder = msgspec.json.Decoder(TokenClaims)
        self._verified: dict[bytes, TokenClaims] = {}

    def verify(self, token: bytes, digest: bytes) -> TokenClaims | None:
        """Return the claims of a token; ``None`` if it was not signed by this platform.

        Args:
            token: The token.
            digest: SHA-256 of ``token``, the key of the cache.
        """
        if (cached := self._verified.get(digest)) is not None:
            return cached
        if len(token) > _MAX_TOKEN_BYTES:
            return None
        try:
            claims = self._claims_decoder.decode(self._jws.decode(token, self._key, algorithms=["RS256"]))
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return None
        if len(self._verified) >= _MAX_CACHED_TOKENS:
            self._verified.clear()
        self._verified[digest] = claims
        return claims
