"""Secrets on their way in: hashed once, sealed, merged by key (recorded: null deletes, others stay)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES, SECRETS_MAX_ENTRIES
from fnkit.contract.requests import Secret
from fnkit.contract.resources import SecretHashedValue
from fnkit.platform.control.refusals import invalid
from fnkit.platform.control.validation import variable_name
from fnkit.platform.records.secrets import StoredSecret
from fnkit.platform.store.vault import Vault

__all__ = ["SecretChanges", "SecretKeeper", "shown"]

_FIELD: Final = "secret_environment_variables"
_HASHER: Final = PasswordHasher(
    time_cost=1, memory_cost=65536, parallelism=2, hash_len=32, salt_len=16, type=Type.ID
)
"""Recorded parameters; one hash takes about 37 ms and 64 MiB."""


@dataclass(frozen=True, slots=True)
class SecretChanges:
    """What a request does to an owner's secrets."""

    put: tuple[StoredSecret, ...] = ()
    removed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.put or self.removed)

    def merged(self, present: tuple[StoredSecret, ...]) -> tuple[StoredSecret, ...]:
        """Return the secrets after the change: replaced in place, new ones at the end.

        Raises:
            Refusal: there would be too many.
        """
        merged = {secret.key: secret for secret in present if secret.key not in self.removed}
        merged.update((secret.key, secret) for secret in self.put)
        if len(merged) > SECRETS_MAX_ENTRIES:
            raise invalid(_FIELD, f"must have at most {SECRETS_MAX_ENTRIES} entries")
        return tuple(merged.values())


class SecretKeeper:
    """Turns values into stored secrets, off the event loop."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

    async def changes(
        self, owner_id: str, secrets: list[Secret] | None, present: tuple[StoredSecret, ...]
    ) -> SecretChanges:
        """Check, hash and seal what a request brings. An unchanged value keeps its hash.

        Raises:
            Refusal: a name or a value that cannot be.
        """
        if not secrets:
            return SecretChanges()
        if len(secrets) > SECRETS_MAX_ENTRIES:
            raise invalid(_FIELD, f"must have at most {SECRETS_MAX_ENTRIES} entries")
        for secret in secrets:
            _check(secret)
        wanted = {secret.key: secret.value for secret in secrets}
        known = {secret.key: secret for secret in present}
        put = []
        for key, value in wanted.items():
            if value is None:
                continue
            old = known.get(key)
            if old is not None and self._vault.open(owner_id, key, old.sealed) == value:
                put.append(old)
            else:
                put.append(await self._store(owner_id, key, value))
        return SecretChanges(tuple(put), frozenset(key for key, value in wanted.items() if value is None))

    def opened(self, owner_id: str, secrets: tuple[StoredSecret, ...]) -> dict[str, str]:
        """Return the values in clear, by key."""
        return {secret.key: self._vault.open(owner_id, secret.key, secret.sealed) for secret in secrets}

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _store(self, owner_id: str, key: str, value: str) -> StoredSecret:
        hashed = await asyncio.get_running_loop().run_in_executor(self._threads, _HASHER.hash, value)
        return StoredSecret(key=key, hashed_value=hashed, sealed=self._vault.seal(owner_id, key, value))


def shown(secrets: tuple[StoredSecret, ...]) -> list[SecretHashedValue]:
    """Return what the API shows."""
    return [SecretHashedValue(key=secret.key, hashed_value=secret.hashed_value) for secret in secrets]


def _check(secret: Secret) -> None:
    variable_name(_FIELD, secret.key)
    if secret.value is None:
        return
    if "\0" in secret.value:
        raise invalid(_FIELD, f"{secret.key!r} must not contain a NUL character")
    if len(secret.value.encode()) > SECRET_VALUE_MAX_BYTES:
        raise invalid(_FIELD, f"{secret.key!r} must be at most {SECRET_VALUE_MAX_BYTES} bytes long")
