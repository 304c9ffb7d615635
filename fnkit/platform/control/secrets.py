"""Secrets of functions and namespaces: validation, hashing, encryption, and merging by key."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES, SECRETS_MAX_ENTRIES
from fnkit.contract.names import variable_name_error
from fnkit.contract.requests import Secret
from fnkit.contract.resources import SecretHashedValue
from fnkit.errors import PlatformError
from fnkit.platform.control.errors import invalid
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.records import StoredSecret

_FIELD: Final = "secret_environment_variables"
_HASHER: Final = PasswordHasher(
    time_cost=1, memory_cost=65536, parallelism=2, hash_len=32, salt_len=16, type=Type.ID
)
"""The parameters of the hashes that the real API was recorded to return. One hash takes about 37 ms and 64 MiB."""


@dataclass(frozen=True, slots=True)
class SecretChanges:
    """The changes that a request makes to the secrets of a function or namespace.

    Attributes:
        upserted: New and replaced secrets.
        removed: Keys of deleted secrets.
    """

    upserted: tuple[StoredSecret, ...] = ()
    removed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.upserted or self.removed)

    def merge(self, present: tuple[StoredSecret, ...]) -> tuple[StoredSecret, ...]:
        """Return the secrets after the update: replaced ones in place, new ones at the end.

        Raises:
            ControlError: There would be more secrets than allowed.
        """
        merged = {secret.key: secret for secret in present if secret.key not in self.removed}
        merged.update((secret.key, secret) for secret in self.upserted)
        if len(merged) > SECRETS_MAX_ENTRIES:
            raise invalid(_FIELD, f"must have at most {SECRETS_MAX_ENTRIES} entries")
        return tuple(merged.values())


class SecretStore:
    """Hashes and encrypts secrets. Hashing runs in threads, since it takes tens of milliseconds."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

    async def prepare_changes(
        self, owner_id: str, secrets: list[Secret] | None, present: tuple[StoredSecret, ...]
    ) -> SecretChanges:
        """Validate, hash and encrypt the secrets of a request.

        As recorded from the real API, secrets are merged by key: a null value deletes, and secrets that are not
        given stay. An unchanged value keeps its hash.

        Args:
            owner_id: The function or namespace.
            secrets: The secrets in the request, or ``None``.
            present: The stored secrets.

        Raises:
            ControlError: A name or a value is invalid, or there are too many.
        """
        if not secrets:
            return SecretChanges()
        if len(secrets) > SECRETS_MAX_ENTRIES:
            raise invalid(_FIELD, f"must have at most {SECRETS_MAX_ENTRIES} entries")
        for secret in secrets:
            _validate(secret)
        given = {secret.key: secret.value for secret in secrets}
        known = {secret.key: secret for secret in present}
        put = []
        for key, value in given.items():
            if value is None:
                continue
            old = known.get(key)
            if old is not None and self._is_value(owner_id, old, value):
                put.append(old)
            else:
                put.append(await self._hash_and_encrypt(owner_id, key, value))
        return SecretChanges(tuple(put), frozenset(key for key, value in given.items() if value is None))

    def decrypt_all(self, owner_id: str, secrets: tuple[StoredSecret, ...]) -> dict[str, str]:
        """Return the decrypted values by key.

        Raises:
            PlatformError: ``secret-unreadable``.
        """
        return {secret.key: self._vault.decrypt(owner_id, secret.key, secret.ciphertext) for secret in secrets}

    def close(self) -> None:
        """Shut down the threads without waiting."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _is_value(self, owner_id: str, secret: StoredSecret, value: str) -> bool:
        try:
            return self._vault.decrypt(owner_id, secret.key, secret.ciphertext) == value
        except PlatformError:  # an unreadable secret can be set again
            return False

    async def _hash_and_encrypt(self, owner_id: str, key: str, value: str) -> StoredSecret:
        hashed = await asyncio.get_running_loop().run_in_executor(self._executor, _HASHER.hash, value)
        return StoredSecret(key=key, hashed_value=hashed, ciphertext=self._vault.encrypt(owner_id, key, value))


def public_view(secrets: tuple[StoredSecret, ...]) -> list[SecretHashedValue]:
    """Return the secrets as the API shows them: hashes instead of values."""
    return [SecretHashedValue(key=secret.key, hashed_value=secret.hashed_value) for secret in secrets]


def _validate(secret: Secret) -> None:
    if fault := variable_name_error(secret.key):
        raise invalid(_FIELD, fault)
    if secret.value is None:
        return
    if "\0" in secret.value:
        raise invalid(_FIELD, f"{secret.key!r} must not contain a NUL character")
    if len(secret.value.encode()) > SECRET_VALUE_MAX_BYTES:
        raise invalid(_FIELD, f"{secret.key!r} must be at most {SECRET_VALUE_MAX_BYTES} bytes long")
