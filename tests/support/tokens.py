"""JSON Web Tokens: those that the platform signs, and invalid ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["claims", "hs256_signed", "public_pem", "signed", "signing_key", "unsigned"]


@cache
def signing_key(name: str = "platform") -> rsa.RSAPrivateKey:
    """Return a key by name, generated once in a test run; half as long as the platform's, to save time."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """Return the public key in the API's format."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def claims(token_id: str, *, function_id: str = "", namespace_id: str = "", **more: object) -> dict[str, object]:
    """Return the claims of a recorded token."""
    return {
        "application_claim": [{"namespace_id": namespace_id, "application_id": function_id}],
        "version": 2,
        "aud": "functions",
        "jti": token_id,
        "iat": 1_756_307_125,
        "iss": "SCALEWAY",
        "nbf": 1_756_307_125,
        "sub": "token",
        **more,
    }


def signed(payload: Mapping[str, object], key: rsa.RSAPrivateKey | None = None) -> str:
    """Return an RS256 token."""
    return jwt.PyJWS().encode(json.dumps(payload).encode(), key or signing_key(), algorithm="RS256")


def unsigned(payload: Mapping[str, object], algorithm: str = "none") -> str:
    """Return a token with an algorithm in its header and an empty signature."""
    return f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(payload)}."


def hs256_signed(payload: Mapping[str, object], secret: str) -> str:
    """Return an HS256 token; ``secret`` may be the public key."""
    start = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(payload)}"
    digest = hmac.digest(secret.encode(), start.encode(), hashlib.sha256)
    return f"{start}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
