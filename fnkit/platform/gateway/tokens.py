"""Tokens as the gateway reads them: who signed them, what they are for, and when they end."""

from __future__ import annotations

from typing import Final, Literal

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

__all__ = ["Token", "TokenReader"]

_LONGEST: Final = 8192
"""Bytes; ours have about 1,100. Longer ones are refused before anything is computed."""

_KEPT: Final = 4096


class _Application(msgspec.Struct, frozen=True):
    """One of the two ids is there, the other is empty (recorded)."""

    namespace_id: str
    application_id: str


class Token(msgspec.Struct, frozen=True):
    """The claims that count. ``exp``: Unix seconds of platform time, ``None`` for never."""

    jti: str
    aud: Literal["functions"]
    application_claim: tuple[_Application]
    exp: int | None = None

    def is_for(self, function_id: str, namespace_id: str) -> bool:
        """Whether it is for this function or for its namespace."""
        (application,) = self.application_claim
        return application.application_id == function_id or application.namespace_id == namespace_id


class TokenReader:
    """Checks signatures with one public key (PEM), RS256 and nothing else.

    A check costs 0.1 ms, so what was found good is remembered by its hash. Whether a token has ended or was
    deleted is not decided here: that changes.
    """

    def __init__(self, public_key: str) -> None:
        self.public_key: Final = public_key
        key = load_pem_public_key(public_key.encode())
        if not isinstance(key, RSAPublicKey):
            raise TypeError("not an RSA key")
        self._key = key
        self._signatures = jwt.PyJWS()
        self._claims = msgspec.json.Decoder(Token)
        self._good: dict[bytes, Token] = {}

    def read(self, text: bytes, digest: bytes) -> Token | None:
        """Return what a token says, or ``None`` where it is none of ours. ``digest`` is the text's SHA-256."""
        if (known := self._good.get(digest)) is not None:
            return known
        if len(text) > _LONGEST:
            return None
        try:
            token = self._claims.decode(self._signatures.decode(text, self._key, algorithms=["RS256"]))
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return None
        if len(self._good) >= _KEPT:
            self._good.clear()
        self._good[digest] = token
        return token
