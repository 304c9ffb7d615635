"""Verification of secret values against the hashes that the API returns."""

from __future__ import annotations

import hashlib
import os
import secrets as randomness
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fnkit.contract.resources import SecretHashedValue
from fnkit.plan.observed import Observed, SecretVerdicts

__all__ = ["judge_secrets"]

_KEY_BYTES: Final = 32
_REMEMBERED: Final = "verified"
_MARK_BYTES: Final = 16
_MOST_REMEMBERED: Final = 10_000


def judge_secrets(observed: Observed, values: Mapping[str, str], folder: Path) -> SecretVerdicts:
    """Return which of the observed hashes match the local values.

    Args:
        observed: The live state with its hashes.
        values: Secret values by name.
        directory: Directory for verification records. If it is not writable, every hash is verified again.
    """
    pairs = {(secret.hashed_value, secret.key) for secret in _hashes(observed) if secret.key in values}
    cache = _Memory(folder)
    fingerprints = {pair: cache.mark(pair[0], values[pair[1]]) for pair in pairs}
    verified = {pair for pair in pairs if fingerprints[pair] in cache.known}
    unverified = sorted(pairs - verified)
    if unverified:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2, thread_name_prefix="verify") as pool:
            results = pool.map(lambda pair: _is_of(pair[0], values[pair[1]]), unverified)
            confirmed = {pair for pair, answer in zip(unverified, results, strict=True) if answer}
        cache.remember(fingerprints[pair] for pair in confirmed)
        verified |= confirmed
    return SecretVerdicts(same=frozenset(verified))


def _hashes(observed: Observed) -> Iterable[SecretHashedValue]:
    if observed.namespace is not None:
        yield from observed.namespace.secret_environment_variables
    for function in observed.functions:
        yield from function.secret_environment_variables


def _is_of(hashed_value: str, value: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(hashed_value, value)
    except (Argon2Error, InvalidHashError):
        return False


class _Memory:
    """Fingerprints of (hash, value) pairs that matched. A fingerprint is a keyed BLAKE2b hash of both.

    The key is random and stored beside the fingerprints with mode 0600: without a key, anyone who can read the file
    could test guesses of a secret at the speed of BLAKE2b instead of argon2id.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = self._read_key()
        self.known = self._read_known()

    def mark(self, hashed_value: str, value: str) -> bytes:
        content = f"{len(hashed_value)}\0{hashed_value}{value}".encode()
        return hashlib.blake2b(content, key=self._key, digest_size=_MARK_BYTES).digest()

    def remember(self, marks: Iterable[bytes]) -> None:
        fingerprints = [*self.known, *marks][-_MOST_REMEMBERED:]
        try:
            _write_private(self._folder / _REMEMBERED, b"".join(fingerprints))
        except OSError:
            return  # the next run verifies again

    def _read_key(self) -> bytes:
        path = self._folder / "key"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.is_file() and len(key := path.read_bytes()) == _KEY_BYTES:
                return key
            key = randomness.token_bytes(_KEY_BYTES)
            _write_private(path, key)
        except OSError:
            return randomness.token_bytes(_KEY_BYTES)
        return key

    def _read_known(self) -> frozenset[bytes]:
        try:
            content = (self._folder / _REMEMBERED).read_bytes()
        except OSError:
            return frozenset()
        return frozenset(content[at : at + _MARK_BYTES] for at in range(0, len(content), _MARK_BYTES))


def _write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 atomically."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
