"""Detected content types, with the results of Go 1.27's ``http.DetectContentType``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.contract.invocation.content_type import detect_content_type


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"Hello", "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        (b'{"a":1}', "text/plain; charset=utf-8"),
        (b"caf\xc3\xa9 \x1b[0m", "text/plain; charset=utf-8"),
        (b"a\x00", "application/octet-stream"),
        (b"x" * 512 + b"\x00", "text/plain; charset=utf-8"),
        (b" \r\n\t\x0c<!doctype html>", "text/html; charset=utf-8"),
        (b"<!DOCTYPE  html>", "text/plain; charset=utf-8"),
        (b"<bODY >", "text/html; charset=utf-8"),
        (b"<b", "text/plain; charset=utf-8"),
        (b"<br/>", "text/plain; charset=utf-8"),
        (b"<!-- x", "text/html; charset=utf-8"),
        (b"\n<?xml version", "text/xml; charset=utf-8"),
        (b"<?XML", "text/plain; charset=utf-8"),
        (b"\xff\xfea\x00", "text/plain; charset=utf-16le"),
        (b"\xff\xfea", "text/plain; charset=utf-8"),
        (b"\xef\xbb\xbf\x00", "text/plain; charset=utf-8"),
        (b"GIF88a", "text/plain; charset=utf-8"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\x00\x01\x02\x03WEBPVP", "image/webp"),
        (b"RIFF\n\n\n\nWAVE", "audio/wave"),
        (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp42", "video/mp4"),
        (b"\x00\x00\x00\x14ftypmp42\x00\x00\x00\x00isom", "video/mp4"),
        (b"\x00\x00\x00\x10ftypisommp42", "application/octet-stream"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isom", "application/octet-stream"),
        (b"\x00\x00\x00\x04ftypmp42", "application/octet-stream"),
        (bytes(34) + b"LP", "application/vnd.ms-fontobject"),
        (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
        (b"\x1f\x8b\x08", "application/x-gzip"),
    ],
)
def test_type_is_that_of_go(body: bytes, expected: str) -> None:
    assert detect_content_type(body) == expected


@given(st.binary(max_size=40))
def test_only_the_first_512_bytes_count(end: bytes) -> None:
    assert detect_content_type(b"a" * 512 + end) == "text/plain; charset=utf-8"
