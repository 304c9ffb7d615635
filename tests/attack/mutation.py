"""Changes bytes at random, keeping enough of the original for parsers to get beyond their first check."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["mutate"]

_INTERESTING = (
    *(
        b"\x00",
        b"\xff",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"\x1b[2J",
        b'"',
        b"'",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
    ),
    *(
        b"-1",
        b"0",
        b"1" * 5000,
        b"9" * 40,
        b"1e999",
        b"NaN",
        b"true",
        b"null",
        b"../",
        b"..\\",
        b"/",
        b"//",
        b"%00",
    ),
    *(
        b":",
        b";",
        b",",
        b"=",
        b"#",
        b"$",
        b"`",
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x80",
        b"a" * 70_000,
    ),
    *(b"[" * 2000, b"(" * 2000, b'{"a":' * 2000, b"~", b"*", b"?", b"@", b"\x7f"),
)


def mutate(original: bytes, others: Sequence[bytes], source: random.Random) -> bytes:
    """Return the original after one to six random changes, some of which take parts from ``others``."""
    data = bytearray(original)
    for _ in range(source.randint(1, 6)):
        start = source.randint(0, len(data))
        end = min(len(data), start + source.choice((0, 1, 1, 2, 4, 16, 64, 1000)))
        match source.randrange(6):
            case 0:
                data[start:end] = source.choice(_INTERESTING)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end] * source.choice((1, 2, 50))
            case 3 if start < len(data):
                data[start] ^= 1 << source.randrange(8)
            case 4:
                other = source.choice(others)
                begin = source.randint(0, len(other))
                data[start:end] = other[begin : begin + source.randint(0, 200)]
            case _:
                data[start:start] = source.randbytes(source.randint(1, 8))
    return bytes(data)
