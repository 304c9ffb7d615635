"""The cache of response heads: what is stored, and when an entry may be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fnkit.platform.data_plane import instance_connection
from fnkit.platform.data_plane.instance_connection import (
    CachedHead,
    ProtocolViolation,
    ResponseReader,
    lookup_head,
    store_head,
)

HEADERS = ((b"content-type", b"text/html"), (b"Content-Length", b"5"))
NONCE_LINE = b"\r\nfnkit-request: 01"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 5"
RESPONSE = HEAD + NONCE_LINE + b"\r\n\r\nhello"


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    instance_connection._cached_heads.clear()
    yield
    instance_connection._cached_heads.clear()


def test_cached_head_matches_any_body_of_its_length() -> None:
    assert lookup_head(RESPONSE, NONCE_LINE) is None

    store_head(RESPONSE, NONCE_LINE, 200, HEADERS)

    assert lookup_head(RESPONSE, NONCE_LINE) == (CachedHead(200, HEADERS, 5), b"hello")
    assert lookup_head(RESPONSE.replace(b"hello", b"\r\n\r\n!"), NONCE_LINE) == (
        CachedHead(200, HEADERS, 5),
        b"\r\n\r\n!",
    )


def test_cached_head_matches_only_with_the_expected_nonce() -> None:
    store_head(RESPONSE, NONCE_LINE, 200, HEADERS)
    other = b"\r\nfnkit-request: 02"

    assert lookup_head(RESPONSE, other) is None
    assert lookup_head(HEAD + other + b"\r\n\r\nworld", other) == (CachedHead(200, HEADERS, 5), b"world")
    assert lookup_head(HEAD + b"\r\n\r\nhello", NONCE_LINE) is None


def test_response_whose_nonce_is_not_last_is_not_cached() -> None:
    moved = HEAD.replace(b"\r\nContent", NONCE_LINE + b"\r\nContent") + b"\r\n\r\nhello"

    store_head(moved, NONCE_LINE, 200, HEADERS)

    assert not instance_connection._cached_heads


@pytest.mark.parametrize(
    "data", [RESPONSE[:-1], RESPONSE + b"H", RESPONSE[:40], b"", RESPONSE.replace(b"200", b"201")]
)
def test_lookup_rejects_anything_but_one_complete_response(data: bytes) -> None:
    store_head(RESPONSE, NONCE_LINE, 200, HEADERS)

    assert lookup_head(data, NONCE_LINE) is None


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, HEADERS[:1]),
        (200, (*HEADERS, (b"transfer-encoding", b"chunked"))),
        (200, (*HEADERS, (b"content-length", b"5"))),
        (200, (HEADERS[0], (b"content-length", b"05"))),
        (200, (HEADERS[0], (b"content-length", b"6"))),
        (204, HEADERS),
        (304, HEADERS),
    ],
)
def test_response_without_plain_content_length_is_not_cached(
    status: int, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    store_head(RESPONSE, NONCE_LINE, status, headers)

    assert lookup_head(RESPONSE, NONCE_LINE) is None


def test_cache_size_is_limited() -> None:
    for number in range(3000):
        store_head(b"HTTP/1.1 200 OK\r\nx: %d%b\r\n\r\nhello" % (number, NONCE_LINE), NONCE_LINE, 200, HEADERS)
    store_head(b"HTTP/1.1 200 OK\r\n" + b"x" * 2000 + NONCE_LINE + b"\r\n\r\nhello", NONCE_LINE, 200, HEADERS)

    assert len(instance_connection._cached_heads) == instance_connection._MAX_CACHED_HEADS


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"a: b\r\n" * 110, "more than 100 headers"),
        (b"a: %b\r\n" % (b"b" * 61_440), "exceeds 61440 bytes"),
    ],
)
def test_head_that_envoy_would_reject_is_a_violation(lines: bytes, reason: str) -> None:
    reader = ResponseReader()
    reader.expect(None)
    with pytest.raises(ProtocolViolation, match=reason):
        reader.feed(b"HTTP/1.1 200 OK\r\n" + lines)
