"""What is remembered of answers, and when it may be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fnkit.platform.data_plane.workers import http_client
from fnkit.platform.data_plane.workers.http_client import CachedHead, lookup_head, store_head

HEADERS = ((b"content-type", b"text/html"), (b"Content-Length", b"5"))
LAST = b"\r\nfnkit-request: 01"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 5"
ANSWER = HEAD + LAST + b"\r\n\r\nhello"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    http_client._cached_heads.clear()
    yield
    http_client._cached_heads.clear()


def test_an_answer_is_known_by_its_head_whatever_its_body() -> None:
    assert lookup_head(ANSWER, LAST) is None

    store_head(ANSWER, LAST, 200, HEADERS)

    assert lookup_head(ANSWER, LAST) == (CachedHead(200, HEADERS, 5), b"hello")
    assert lookup_head(ANSWER.replace(b"hello", b"\r\n\r\n!"), LAST) == (CachedHead(200, HEADERS, 5), b"\r\n\r\n!")


def test_the_number_may_be_another_one_but_must_be_the_one_that_is_asked_for() -> None:
    store_head(ANSWER, LAST, 200, HEADERS)
    other = b"\r\nfnkit-request: 02"

    assert lookup_head(ANSWER, other) is None
    assert lookup_head(HEAD + other + b"\r\n\r\nworld", other) == (CachedHead(200, HEADERS, 5), b"world")
    assert lookup_head(HEAD + b"\r\n\r\nhello", LAST) is None


def test_an_answer_whose_number_is_not_last_is_not_remembered() -> None:
    moved = HEAD.replace(b"\r\nContent", LAST + b"\r\nContent") + b"\r\n\r\nhello"

    store_head(moved, LAST, 200, HEADERS)

    assert not http_client._cached_heads


@pytest.mark.parametrize("data", [ANSWER[:-1], ANSWER + b"H", ANSWER[:40], b"", ANSWER.replace(b"200", b"201")])
def test_what_is_not_one_whole_answer_with_that_head_is_the_parser_s(data: bytes) -> None:
    store_head(ANSWER, LAST, 200, HEADERS)

    assert lookup_head(data, LAST) is None


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
def test_what_does_not_say_its_length_plainly_is_not_remembered(
    status: int, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    store_head(ANSWER, LAST, status, headers)

    assert lookup_head(ANSWER, LAST) is None


def test_handlers_cannot_make_it_grow_without_end() -> None:
    for number in range(3000):
        store_head(b"HTTP/1.1 200 OK\r\nx: %d%b\r\n\r\nhello" % (number, LAST), LAST, 200, HEADERS)
    store_head(b"HTTP/1.1 200 OK\r\n" + b"x" * 2000 + LAST + b"\r\n\r\nhello", LAST, 200, HEADERS)

    assert len(http_client._cached_heads) == http_client._MAX_CACHED_HEADS
