"""The line with a number that a request to an instance has, and that its answer must have too.

It is drawn when the request is sent, so that nothing that was written before can be the answer to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final

__all__ = ["MARK_HEADER", "marks"]

MARK_HEADER: Final = b"fnkit-request"
_LETTERS: Final = 16  # 64 bits: nobody guesses the next one, whoever knows all before
_DRAWN: Final = 512  # at once: the kernel is asked for randomness a thousand times less


def marks() -> Iterator[bytes]:
    """Yield lines with numbers in hexadecimal, without end; the line break stands before each."""
    line = b"\r\n%b: " % MARK_HEADER
    while True:
        drawn = secrets.token_hex(_DRAWN * _LETTERS // 2).encode()
        for start in range(0, len(drawn), _LETTERS):
            yield line + drawn[start : start + _LETTERS]
