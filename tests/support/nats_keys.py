"""NATS nkeys and the JWTs of operators, accounts and users, as nsc creates them (NATS documentation, "JWTs")."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import nkeys

__all__ = ["Key", "credentials_file", "signed"]

_PREFIXES: Final = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}


def _new_seed(kind: str) -> str:
    return str(nkeys.encode_seed(secrets.token_bytes(32), _PREFIXES[kind]).decode())


@dataclass(frozen=True)
class Key:
    """A key pair; ``kind`` is ``operator``, ``account`` or ``user``."""

    kind: str = "user"
    seed: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", self.seed or _new_seed(self.kind))

    @property
    def public(self) -> str:
        """The public key, which is the subject of its JWT."""
        return str(nkeys.from_seed(bytearray(self.seed.encode())).public_key.decode())

    def sign(self, text: str) -> str:
        """Return the signature of a JWT's first two parts."""
        return _base64(nkeys.from_seed(bytearray(self.seed.encode())).sign(text.encode()))


def signed(by: Key, of: Key, *, expires: float | None = None, **settings: object) -> str:
    """Return a JWT; ``settings`` are members of its ``nats`` claim."""
    claims: dict[str, object] = {
        "iat": int(time.time()),
        "iss": by.public,
        "name": of.kind,
        "sub": of.public,
        "nats": {**settings, "type": of.kind, "version": 2},
    }
    if expires is not None:
        claims["exp"] = int(expires)
    digest = hashlib.sha512(json.dumps(claims).encode()).digest()[:32]
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = f"{_base64(json.dumps(_HEADER).encode())}.{_base64(json.dumps(claims).encode())}"
    return f"{text}.{by.sign(text)}"


def credentials_file(jwt: str, user: Key) -> str:
    """Return the text of a ``.creds`` file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n\n"
        "*************************************************************\n"
    )


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
