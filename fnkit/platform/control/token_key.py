"""The key that signs tokens: 4096 bits of RSA, one for the platform, made once (recorded: one key signs all)."""

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
from fnkit.platform.store.private_file import write_private

__all__ = ["TokenKey", "TokenKeyKeeper"]

_QUIET_SECONDS: Final = 10.0
"""Real seconds after a first start before the key is made unasked: what follows a start at once goes first."""


class TokenKey:
    """One private key. Reading it back is not checked for primality (0.4 s): it is our own private file."""

    def __init__(self, pem: bytes) -> None:
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError("not an RSA key")
        self._key = key
        self.public_pem: Final = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    def signed(self, claims: Mapping[str, object]) -> str:
        """Return the JWT, RS256, claims in the order given (4 ms)."""
        import jwt  # 50 ms that a start need not wait for

        return jwt.encode(dict(claims), self._key, algorithm="RS256")


class TokenKeyKeeper:
    """Has the platform's key, and makes it when it is first needed.

    Raises:
        PlatformError: ``key-unusable`` where the file is not a key of ours.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key = _loaded(file) if file.exists() else None
        self._making: asyncio.Task[None] | None = None

    @property
    def public_pem(self) -> str:
        """The public half, PKCS#1; empty as long as there is no key, and so no token."""
        return self._key.public_pem if self._key else ""

    async def key(self) -> TokenKey:
        """Return the key; the first time this takes a second or two.

        Raises:
            OSError: it cannot be kept, the disk being full for one.
        """
        while self._key is None:
            if self._making is None or self._making.done():
                self._making = asyncio.get_running_loop().create_task(self._make(), name="token key")
            await asyncio.shield(self._making)
        return self._key

    async def prepare(self) -> None:
        """Make the key some time after a first start, so that the first token does not wait for it."""
        if self._key is None:
            await asyncio.sleep(_QUIET_SECONDS)
            await self.key()

    async def close(self) -> None:
        """Give up what is being made."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fnkit.platform.server.key_making"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            pem, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        key = TokenKey(pem)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._file, pem)
        self._key = key


def _loaded(file: Path) -> TokenKey:
    try:
        return TokenKey(file.read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise PlatformError(
            f"{file} is not a key of this platform.",
            code="key-unusable",
            hint="Restore it from a backup, or remove it and make new tokens: those it signed are lost.",
        ) from None
