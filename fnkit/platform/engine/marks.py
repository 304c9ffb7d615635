"""The nonce of a request to an instance, which its response must repeat.

It is drawn when the request is sent, so nothing that was written before can be a response to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

__all__ = ["MARK_HEADER", "marks"]

MARK_HEADER: Final = b"fnkit-request"
_LETTERS: Final = 16  # hexadecimal digits: 64 bits, which a handler cannot guess from earlier nonces
_DRAWN: Final = 512  # nonces per system call


def marks() -> Iterator[bytes]:
    """Yield header lines with nonces in hexadecimal, each with the line break before it."""
    line = b"\r\n%b: " % MARK_HEADER
    while True:
        digits = secrets.token_hex(_DRAWN * _LETTERS // 2).encode()
        for start in range(0, len(digits), _LETTERS):
            yield line + digits[start : start + _LETTERS]
