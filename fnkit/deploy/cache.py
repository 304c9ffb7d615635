"""Records in the user's cache directory: of deployed slices, and of verified secrets.

Records of deployed slices let the next plan name the changed files, and let a failed deploy restore the previous
archive. Records of verified secrets avoid repeated hashing: the API returns an argon2id hash of each secret, and
checking one takes about 37 ms. Each distinct pair of hash and value is checked once, in threads, and recorded as a
keyed hash, from which neither can be recovered; a plan without changes checks none.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets as randomness
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.resources import SecretHashedValue
from fnkit.deploy.user_cache import write_private
from fnkit.plan.ownership import read_ownership
from fnkit.plan.state import DesiredState, ObservedState, SecretMatches

_DIGEST_PATTERN = re.compile(r"[0-9a-f]{32}")

_KEY_BYTES: Final = 32
_VERIFIED_FILE: Final = "verified"
_FINGERPRINT_BYTES: Final = 16
_MAX_FINGERPRINTS: Final = 10_000


class DeployedSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a deployed slice.

    Attributes:
        files: Pairs of path and SHA-256.
        archive: Path of the zip file on this machine, which may no longer exist.
    """

    files: tuple[tuple[str, str], ...]
    archive: str


def load_deployed_slices(observed: ObservedState, directory: Path) -> dict[str, DeployedSlice]:
    """Return this machine's records of the live slices by digest."""
    digests = {read_ownership(function.tags).code_digest for function in observed.functions}
    found = ((digest, _read_deployed_slice(directory, digest)) for digest in digests if digest)
    return {digest: slice_ for digest, slice_ in found if slice_ is not None}


def save_deployed_slices(
    desired: DesiredState, names: Iterable[str], archives: Mapping[str, Path], directory: Path
) -> None:
    """Record the deployed slices of the named functions. Write errors are ignored: the records are optional."""
    wanted = set(names)
    with suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for function in desired.functions:
            target = directory / f"{function.code}.json"
            archive = archives.get(function.archive)
            if function.name not in wanted or archive is None:
                continue
            write_private(target, msgspec.json.encode(DeployedSlice(files=function.files, archive=str(archive))))


def _read_deployed_slice(directory: Path, digest: str) -> DeployedSlice | None:
    if not _DIGEST_PATTERN.fullmatch(digest):
        return None  # anyone with access to the API can write this tag; it must not become a path
    try:
        return msgspec.json.decode((directory / f"{digest}.json").read_bytes(), type=DeployedSlice)
    except (OSError, msgspec.DecodeError):
        return None


def verify_secrets(observed: ObservedState, values: Mapping[str, str], directory: Path) -> SecretMatches:
    """Return which of the observed hashes match the local values.

    Args:
        observed: The live state with its hashes.
        values: Secret values by name.
        directory: Directory for verification records. If it is not writable, every hash is verified again.
    """
    pairs = {(secret.hashed_value, secret.key) for secret in _observed_hashes(observed) if secret.key in values}
    cache = _VerifiedSecrets(directory)
    fingerprints = {pair: cache.fingerprint(pair[0], values[pair[1]]) for pair in pairs}
    verified = {pair for pair in pairs if fingerprints[pair] in cache.fingerprints}
    unverified = sorted(pairs - verified)
    if unverified:
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2, thread_name_prefix="verify") as pool:
            results = pool.map(lambda pair: _verify_hash(pair[0], values[pair[1]]), unverified)
            confirmed = {pair for pair, answer in zip(unverified, results, strict=True) if answer}
        cache.add(fingerprints[pair] for pair in confirmed)
        verified |= confirmed
    return SecretMatches(verified=frozenset(verified))


def _observed_hashes(observed: ObservedState) -> Iterable[SecretHashedValue]:
    if observed.namespace is not None:
        yield from observed.namespace.secret_environment_variables
    for function in observed.functions:
        yield from function.secret_environment_variables


def _verify_hash(hashed_value: str, value: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(hashed_value, value)
    except (Argon2Error, InvalidHashError):
        return False


class _VerifiedSecrets:
    """Fingerprints of (hash, value) pairs that matched. A fingerprint is a keyed BLAKE2b hash of both.

    The key is random and stored beside the fingerprints with mode 0600: without a key, anyone who can read the file
    could test guesses of a secret at the speed of BLAKE2b instead of argon2id.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory
        self._key = self._read_key()
        self.fingerprints = self._read_fingerprints()

    def fingerprint(self, hashed_value: str, value: str) -> bytes:
        content = f"{len(hashed_value)}\0{hashed_value}{value}".encode()
        return hashlib.blake2b(content, key=self._key, digest_size=_FINGERPRINT_BYTES).digest()

    def add(self, new_fingerprints: Iterable[bytes]) -> None:
        fingerprints = [*self.fingerprints, *new_fingerprints][-_MAX_FINGERPRINTS:]
        with suppress(OSError):  # the next run verifies again
            write_private(self._folder / _VERIFIED_FILE, b"".join(fingerprints))

    def _read_key(self) -> bytes:
        path = self._folder / "key"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.is_file() and len(key := path.read_bytes()) == _KEY_BYTES:
                return key
            key = randomness.token_bytes(_KEY_BYTES)
            write_private(path, key)
        except OSError:
            return randomness.token_bytes(_KEY_BYTES)
        return key

    def _read_fingerprints(self) -> frozenset[bytes]:
        try:
            content = (self._folder / _VERIFIED_FILE).read_bytes()
        except OSError:
            return frozenset()
        return frozenset(content[at : at + _FINGERPRINT_BYTES] for at in range(0, len(content), _FINGERPRINT_BYTES))
