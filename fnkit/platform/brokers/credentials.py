"""NATS credentials as files hold them: ``.creds`` (a user's JWT and its seed), and a seed alone.

The format is that of ``nsc`` (NATS documentation, "JWTs"): each between a BEGIN and an END line of dashes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["CredentialsUnreadable", "read_credentials", "read_seed"]

_MOST_BYTES: Final = 1024 * 1024
_SEED: Final = re.compile(r"SU[A-Z2-7]{56}")
_SECTION: Final = r"-{{3,}} *BEGIN {0} *-{{3,}}\s+([A-Za-z0-9_.\-=]+?)\s+-{{3,}} *END {0} *-{{3,}}"
_JWT: Final = re.compile(_SECTION.format("NATS USER JWT"))
_USER_SEED: Final = re.compile(_SECTION.format("USER NKEY SEED"))


class CredentialsUnreadable(Exception):
    """What stands in the way, without anything of the file's."""


def read_credentials(file: Path) -> tuple[str, str]:
    """Return the JWT and the seed of a ``.creds`` file.

    Raises:
        CredentialsUnreadable: it is none.
    """
    text = _text("credentials", file)
    jwt, seed = _JWT.search(text), _USER_SEED.search(text)
    if jwt is None or seed is None or not _SEED.fullmatch(seed.group(1)):
        raise CredentialsUnreadable(f"credentials: {file} holds no user's JWT with its seed, as nsc writes them")
    return jwt.group(1), seed.group(1)


def read_seed(value: str) -> str:
    """Return a seed: the value itself, or what the file of that name holds.

    Raises:
        CredentialsUnreadable: neither.
    """
    if _SEED.fullmatch(value):
        return value
    # Not named before it is known to be a file: it may be a seed with a slip in it.
    file = Path(value).expanduser()
    try:
        is_file = file.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise CredentialsUnreadable("nkey is neither a user's seed (SU…) nor the name of a file with one")
    lines = [line.strip() for line in _text("nkey", file).splitlines()]
    found = next((line for line in lines if _SEED.fullmatch(line)), None)
    if found is None:
        raise CredentialsUnreadable(f"nkey: {file} holds no user's seed (SU…)")
    return found


def _text(key: str, file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise CredentialsUnreadable(f"{key}: {file} cannot be read: {error.strerror}") from None
