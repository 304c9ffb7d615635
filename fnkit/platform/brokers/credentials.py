"""Reads NATS credentials from files: ``.creds`` files (a user JWT and its seed) and files with a seed alone.

The ``.creds`` format is that of ``nsc``
(https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["CredentialsUnreadable", "read_credentials", "read_seed"]

_MAX_FILE_BYTES: Final = 1024 * 1024
_SEED_PATTERN: Final = re.compile(r"SU[A-Z2-7]{56}")
_SECTION_PATTERN: Final = r"-{{3,}} *BEGIN {0} *-{{3,}}\s+([A-Za-z0-9_.\-=]+?)\s+-{{3,}} *END {0} *-{{3,}}"
_JWT_PATTERN: Final = re.compile(_SECTION_PATTERN.format("NATS USER JWT"))
_USER_SEED_PATTERN: Final = re.compile(_SECTION_PATTERN.format("USER NKEY SEED"))


class CredentialsUnreadable(Exception):
    """The credentials cannot be read. The message contains nothing of the content of the file."""


def read_credentials(file: Path) -> tuple[str, str]:
    """Return the user JWT and the seed of a ``.creds`` file.

    Raises:
        CredentialsUnreadable: The file cannot be read or has another format.
    """
    text = _read_text("credentials", file)
    jwt, seed = _JWT_PATTERN.search(text), _USER_SEED_PATTERN.search(text)
    if jwt is None or seed is None or not _SEED_PATTERN.fullmatch(seed.group(1)):
        raise CredentialsUnreadable(f"credentials: {file} contains no user JWT with its seed in the format of nsc")
    return jwt.group(1), seed.group(1)


def read_seed(value: str) -> str:
    """Return a user's seed.

    Args:
        value: The seed itself, or the path of a file that contains it.

    Raises:
        CredentialsUnreadable: The value is neither.
    """
    if _SEED_PATTERN.fullmatch(value):
        return value
    # The value may be a mistyped seed, so it must not appear in a message unless it is the path of a file.
    file = Path(value).expanduser()
    try:
        is_file = file.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise CredentialsUnreadable("nkey is neither a user seed (SU…) nor the path of a file that contains one")
    lines = [line.strip() for line in _read_text("nkey", file).splitlines()]
    seed = next((line for line in lines if _SEED_PATTERN.fullmatch(line)), None)
    if seed is None:
        raise CredentialsUnreadable(f"nkey: {file} contains no user seed (SU…)")
    return seed


def _read_text(key: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_FILE_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise CredentialsUnreadable(f"{key}: {file} cannot be read: {error.strerror}") from None
