"""The core runtime finds the same requests and responses in a stream, however it is divided into reads."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from fnkit.core_runtime.http_request import RequestHead, RequestParser, RequestRefused
from fnkit.core_runtime.worker_response import InvalidResponse, WorkerResponseReader
from tests.support.ambiguous_requests import AMBIGUOUS, NEXT, UNAMBIGUOUS

STREAMS = [*AMBIGUOUS.values(), *(data for data, _ in UNAMBIGUOUS.values())]
FRAGMENTS = [
    *(b"GET /", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n", b"\n", b"\r", b"0\r\n\r\n", b"5;a\r\nhello\r\n"),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"hello",
        b" ",
        b":",
        b"\0",
        b"\xff",
        b"X: y\r\n",
    ),
    b"POST / HTTP/1.1\r\n",
]
NOISE = st.lists(st.sampled_from(FRAGMENTS)).map(b"".join)


class Recorder:
    """Records what a parser finds, with the pieces of bodies joined."""

    def __init__(self) -> None:
        self.found: list[object] = []

    def on_begin(self) -> None:
        self.found.append("begin")

    def on_head(self, head: RequestHead) -> None:
        self.found += [head.method, head.target, head.version, head.headers, b""]

    def on_body(self, data: bytes) -> None:
        body = self.found.pop()
        assert isinstance(body, bytes)
        self.found.append(body + data)

    def on_complete(self) -> None:
        self.found.append("complete")


def parse(pieces: list[bytes]) -> list[object]:
    recorder = Recorder()
    parser = RequestParser(recorder)
    try:
        for piece in pieces:
            parser.feed(piece)
    except RequestRefused as rejected:
        recorder.found.append(rejected.response.status)
    return recorder.found


def divided(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(places)]


def is_prefix_until_rejection(some: list[object], whole: list[object]) -> bool:
    """A rejection may come before the rest of a line, which is why less may have been found until then."""
    if some == whole:
        return True
    return isinstance(some[-1], int) and isinstance(whole[-1], int) and some[:-1] == whole[: len(some) - 1]


@given(
    stream=st.sampled_from(STREAMS).map(lambda data: data + NEXT) | NOISE,
    cuts=st.lists(st.integers(0, 400), max_size=20),
)
@example(stream=UNAMBIGUOUS["chunk with extensions"][0] + NEXT, cuts=list(range(400)))
def test_requests_do_not_depend_on_the_reads(stream: bytes, cuts: list[int]) -> None:
    assert is_prefix_until_rejection(parse(divided(stream, cuts)), parse([stream]))


@given(st.binary() | NOISE)
def test_any_bytes_are_parsed_or_rejected(stream: bytes) -> None:
    assert is_prefix_until_rejection(parse([bytes([byte]) for byte in stream]), parse([stream]))


@given(body=st.binary(), trailing=st.binary(max_size=3), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_responses_do_not_depend_on_the_reads(body: bytes, trailing: bytes, cuts: list[int]) -> None:
    reader = WorkerResponseReader()
    nonce = reader.encode_request_head(0).partition(b"fnkit-request: ")[2].partition(b"\r")[0]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/x\r\ncontent-length: %d\r\nfnkit-request: %b\r\n\r\n"
    stream = head % (len(body), nonce) + body + trailing
    received = b""
    for piece in divided(stream, cuts):
        received += reader.feed(piece)
        if reader.is_complete:
            break
    assert (reader.status, reader.headers, received) == (200, ((b"content-type", b"text/x"),), body)


@given(st.binary() | st.just(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nfnkit-request: 0\r\n\r\nx"))
def test_response_without_the_nonce_is_never_accepted(stream: bytes) -> None:
    reader = WorkerResponseReader()
    try:
        assert reader.feed(stream) == b""
        assert not reader.is_complete
    except InvalidResponse:
        assert reader.status == 0
