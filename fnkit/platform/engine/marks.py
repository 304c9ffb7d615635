"""The nonce of a request to an instance, which its response must repeat.

It is drawn when the request is sent, so nothing that was written before can be a response to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

__all__ = ["NONCE_HEADER", "nonce_lines"]

NONCE_HEADER: Final = b"fnkit-request"
_NONCE_DIGITS: Final = 16  # hexadecimal digits: 64 bits, which a handler cannot guess from earlier nonces
_NONCES_PER_DRAW: Final = 512  # nonces per system call


def nonce_lines() -> Iterator[bytes]:
    """Yield header lines with nonces in hexadecimal, each with the line break before it."""
    line = b"\r\n%b: " % NONCE_HEADER
    while True:
        digits = secrets.token_hex(_NONCES_PER_DRAW * _NONCE_DIGITS // 2).encode()
        for start in range(0, len(digits), _NONCE_DIGITS):
            yield line + digits[start : start + _NONCE_DIGITS]
