"""Positions of base64 errors, with the results of Go 1.27's ``base64.StdEncoding``."""

from __future__ import annotations

import pytest

from fnkit.contract.invocation.base64_error import base64_error_position


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (b"a", 0),
        (b"aGk", 0),
        (b"aGVsbG8", 4),
        (b"aGVs\r\nbG8\n", 7),
        (b"*", 0),
        (b"aG*=", 2),
        (b"aGVs*", 4),
        (b"=", 0),
        (b"a===", 1),
        (b"aG=", 3),
        (b"aG=\n", 4),
        (b"aG=k", 2),
        (b"aG=\nk", 3),
        (b"aGk==", 4),
        (b"aGk=\naGk=", 5),
        (b"aG==aG==", 4),
        (b"aG=\n=\nx", 6),
    ],
)
def test_position_is_that_of_go(text: bytes, position: int) -> None:
    assert base64_error_position(text) == position


def test_long_text_takes_no_long_time() -> None:
    assert base64_error_position(b"aGVs" * 500_000 + b"*") == 2_000_000
    assert base64_error_position(b"\n" * 2_000_000 + b"*") == 2_000_000
