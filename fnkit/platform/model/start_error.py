"""Why a process of the platform could not start: what it tells the one that started it. Pure.

A process leaves its error in a file of the directory that it shares with its starter, which reads and removes it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.errors import PlatformError

START_ERROR_FILE: Final = "start-error.json"


class _StartError(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a ``PlatformError``."""

    code: str
    message: str
    hint: str | None = None


def encode_start_error(error: PlatformError) -> bytes:
    """Return the content of the file."""
    return msgspec.json.encode(_StartError(code=error.code, message=error.message, hint=error.hint))


def decode_start_error(content: bytes) -> PlatformError | None:
    """Return the error in a file; ``None`` if it was not written completely.

    >>> decode_start_error(encode_start_error(PlatformError("It is away.", code="cluster-unreachable"))).code
    'cluster-unreachable'
    """
    try:
        found = msgspec.json.decode(content, type=_StartError)
    except msgspec.MsgspecError:
        return None
    return PlatformError(found.message, code=found.code, hint=found.hint)
