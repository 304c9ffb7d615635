"""The key that signs tokens: one 4096-bit RSA key for the whole platform, generated once.

The real API was recorded to sign all tokens with one key.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file

_GENERATION_DELAY: Final = 10.0
"""Seconds of real time between the first start and the generation of the key, which takes a second or two of CPU.

The delay leaves the CPU to what usually follows a first start, such as a deployment.
"""


class SigningKey:
    """A private RSA key.

    Args:
        pem: The key in PEM. It is not checked for consistency, which takes 0.4 s: the file is the platform's own.

    Attributes:
        public_pem: The public key as PKCS#1 in PEM.

    Raises:
        ValueError: The key cannot be decoded.
        TypeError: This is not an RSA key.
    """

    def __init__(self, pem: bytes) -> None:
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError("not an RSA key")
        self._key = key
        self.public_pem: Final = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return a JWT with these claims, in this order, signed with RS256. Takes about 4 ms."""
        import jwt  # takes 50 ms, which would delay every start of the platform

        return jwt.encode(dict(claims), self._key, algorithm="RS256")


class SigningKeyStore:
    """Holds the signing key and generates it when it is first needed.

    Args:
        file: The key file (0600), in PEM.

    Raises:
        PlatformError: ``key-unusable``: the file is not an RSA key.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key = _load(file) if file.exists() else None
        self._generation: asyncio.Task[None] | None = None

    @property
    def public_pem(self) -> str:
        """The public key as PKCS#1 in PEM, empty until the key was generated. No token exists before that."""
        return self._key.public_pem if self._key else ""

    async def get(self) -> SigningKey:
        """Return the key. Generating it takes a second or two the first time.

        Raises:
            OSError: The key could not be written, for example because the disk is full.
        """
        while self._key is None:
            # One generation serves all callers. The shield keeps it running when one of them is cancelled.
            if self._generation is None or self._generation.done():
                self._generation = asyncio.get_running_loop().create_task(self._generate(), name="token key")
            await asyncio.shield(self._generation)
        return self._key

    async def generate_later(self) -> None:
        """Generate the key some time after the first start, so that the first token need not wait for it."""
        if self._key is None:
            await asyncio.sleep(_GENERATION_DELAY)
            await self.get()

    async def close(self) -> None:
        """Cancel a generation in progress."""
        if self._generation is not None:
            self._generation.cancel()
            await asyncio.gather(self._generation, return_exceptions=True)

    async def _generate(self) -> None:
        # A process of its own: key generation holds the interpreter lock, so a thread would block the event loop.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fnkit.platform.supervisor.keygen"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            pem, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        key = SigningKey(pem)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_file(self._file, pem)
        self._key = key


def _load(file: Path) -> SigningKey:
    try:
        return SigningKey(file.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise PlatformError(
            f"{file} is not a key of this platform.",
            code="key-unusable",
            hint="Restore it from a backup, or remove it and create new tokens: existing tokens become invalid.",
        ) from None
