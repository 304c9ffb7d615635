"""Further API keys: one private file beside the platform's own identity, kept by a reset as that is.

The control process alone writes it.
"""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from typing import Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.records.api_key import ApiKeyRecord
from fnkit.platform.store.private_file import write_private

__all__ = ["ApiKeys", "make_access_key"]

_LETTERS: Final = string.ascii_uppercase + string.digits
_LENGTH: Final = 17


class ApiKeys:
    """The keys, in the order in which they were made.

    Raises:
        PlatformError: ``identity-unreadable`` where the file is not ours.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys = _read(file)
        self._by_hash = {key.sha256: key for key in self._keys}

    def every(self) -> tuple[ApiKeyRecord, ...]:
        """Return all of them."""
        return self._keys

    def by_hash(self, sha256: str) -> ApiKeyRecord | None:
        """Return the key whose secret has this SHA-256 (hex)."""
        return self._by_hash.get(sha256)

    def add(self, key: ApiKeyRecord) -> None:
        """Keep another key; ``OSError`` where the disk says no, and nothing is changed."""
        self._write((*self._keys, key))

    def remove(self, access_key: str) -> ApiKeyRecord | None:
        """Forget a key and return it; ``None`` where there is none. ``OSError`` as above."""
        found = next((key for key in self._keys if key.access_key == access_key), None)
        if found is not None:
            self._write(tuple(key for key in self._keys if key is not found))
        return found

    def _write(self, keys: tuple[ApiKeyRecord, ...]) -> None:
        write_private(self._file, msgspec.json.encode(keys))
        self._keys = keys
        self._by_hash = {key.sha256: key for key in keys}


def make_access_key() -> str:
    """Return ``SCW`` and 17 of ``A-Z0-9``, which Scaleway's clients check."""
    return "SCW" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _read(file: Path) -> tuple[ApiKeyRecord, ...]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[ApiKeyRecord, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} cannot be read as this platform's API keys.",
            code="identity-unreadable",
            hint="Restore it from a backup, or remove that file: its keys are then no longer valid.",
        ) from None
