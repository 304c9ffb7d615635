"""Additional API keys, in a private file next to the platform's credentials.

The keys are not in the database, so that ``fnkit platform reset`` keeps them together with the platform's own key.
Only the control process writes the file.
"""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from typing import Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.model.records import ApiKeyRecord

_ALPHABET: Final = string.ascii_uppercase + string.digits
_RANDOM_LENGTH: Final = 17


class ApiKeyFile:
    """The additional API keys, in order of creation. The file is read once.

    Raises:
        PlatformError: ``identity-unreadable``: the file cannot be read or has another format.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys = _read_keys(file)
        self._by_hash = {key.sha256: key for key in self._keys}

    def all(self) -> tuple[ApiKeyRecord, ...]:
        """Return all keys."""
        return self._keys

    def find_by_hash(self, sha256: str) -> ApiKeyRecord | None:
        """Return the key whose secret has this SHA-256 (hex), or ``None``."""
        return self._by_hash.get(sha256)

    def add(self, key: ApiKeyRecord) -> None:
        """Add a key.

        Raises:
            OSError: The file could not be written. The keys are unchanged.
        """
        self._write((*self._keys, key))

    def remove(self, access_key: str) -> ApiKeyRecord | None:
        """Remove a key and return it, or return ``None`` if there is no such key.

        Raises:
            OSError: The file could not be written. The keys are unchanged.
        """
        found = next((key for key in self._keys if key.access_key == access_key), None)
        if found is not None:
            self._write(tuple(key for key in self._keys if key is not found))
        return found

    def _write(self, keys: tuple[ApiKeyRecord, ...]) -> None:
        write_private_file(self._file, msgspec.json.encode(keys))
        self._keys = keys
        self._by_hash = {key.sha256: key for key in keys}


def make_access_key() -> str:
    """Return a random access key in the format that Scaleway's clients check: ``SCW`` and 17 of ``A-Z0-9``."""
    return "SCW" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


def _read_keys(file: Path) -> tuple[ApiKeyRecord, ...]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[ApiKeyRecord, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} cannot be read as this platform's API keys.",
            code="identity-unreadable",
            hint="Restore it from a backup, or remove the file. Its keys are then no longer valid.",
        ) from None
