"""Encryption of secrets at rest, with AES-256-GCM and a key file (0600) that is generated once.

The owner and name of a value are authenticated with it, so a ciphertext that is copied to another row cannot be
decrypted there.
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
from fnkit.platform.control.store.private_file import write_private_file

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Vault:
    """Encrypts and decrypts values, and derives keys for other purposes from the same key file.

    Args:
        file: The key file. Created if it does not exist.

    Raises:
        PlatformError: ``key-unusable``: the file is not a key of this platform.
        OSError: The file cannot be read or created.
    """

    def __init__(self, file: Path) -> None:
        self._master_key = _load_or_create_key(file)
        self._cipher = AESGCM(self.derive_key("secrets at rest"))
        self.fingerprint: Final = self.derive_key("fingerprint").hex()
        """Identifies the key file without revealing the key."""

    def derive_key(self, purpose: str) -> bytes:
        """Return a 32-byte key for ``purpose``, derived from the key file with HKDF (RFC 5869)."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(self._master_key)

    def encrypt(self, owner_id: str, key: str, value: str) -> bytes:
        """Encrypt a value.

        Args:
            owner_id: The resource that the value belongs to.
            key: The value's name within the resource.
            value: The value in clear.

        Returns:
            A random nonce followed by the ciphertext.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value.encode(), f"{owner_id}\0{key}".encode())

    def decrypt(self, owner_id: str, key: str, ciphertext: bytes) -> str:
        """Decrypt a value that ``encrypt`` returned for the same owner and name.

        Raises:
            PlatformError: ``secret-unreadable``: the value was encrypted with another key or for another owner or
                name, or was tampered with.
        """
        nonce, body = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, body, f"{owner_id}\0{key}".encode()).decode()
        except InvalidTag:
            raise PlatformError(
                f"The secret {key} of {owner_id} cannot be decrypted with this platform's key.",
                code="secret-unreadable",
                hint="Restore the keys folder that belongs to this database, or set the secret again.",
            ) from None


def _load_or_create_key(file: Path) -> bytes:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        # Durable: a key file of the wrong length after a power cut would make all secrets unreadable.
        write_private_file(file, secrets.token_bytes(_KEY_BYTES))
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise PlatformError(
            f"{file} is not a key of this platform.",
            code="key-unusable",
            hint="Restore it from a backup. Without it the stored secrets cannot be decrypted.",
        )
    return key
