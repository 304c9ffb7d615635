"""Secrets at rest: AES-256-GCM under a key file (0600) that is made once.

Each value is bound to its owner and name, so that a value copied to another row does not open.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fnkit.errors import PlatformError

__all__ = ["Vault"]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Vault:
    """Seals and opens values, and derives keys for other purposes from the same file.

    Raises:
        PlatformError: ``key-unusable`` where the file is not a key of ours.
    """

    def __init__(self, file: Path) -> None:
        self._master = _load(file)
        self._cipher = AESGCM(self.derive("secrets at rest"))

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes that are this platform's own for that purpose."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(self._master)

    def seal(self, owner_id: str, key: str, value: str) -> bytes:
        """Encrypt a value for its owner and name."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value.encode(), f"{owner_id}\0{key}".encode())

    def open(self, owner_id: str, key: str, sealed: bytes) -> str:
        """Decrypt a value.

        Raises:
            PlatformError: ``secret-unreadable``: another key sealed it, or it was tampered with.
        """
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, body, f"{owner_id}\0{key}".encode()).decode()
        except InvalidTag:
            raise PlatformError(
                f"The secret {key} of {owner_id} cannot be opened with this platform's key.",
                code="secret-unreadable",
                hint="Restore the keys folder that belongs to this store, or set the secret again.",
            ) from None


def _load(file: Path) -> bytes:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    if not file.exists():
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise PlatformError(
            f"{file} is not a key of this platform.",
            code="key-unusable",
            hint="Restore it from a backup; without it the stored secrets cannot be read.",
        )
    return key
