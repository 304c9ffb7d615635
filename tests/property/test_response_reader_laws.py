"""ResponseReader: however the bytes are split, a handler receives the response to its own request, or none."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.data_plane.instance_connection import ProtocolViolation, ResponseReader
from fnkit.platform.data_plane.interface import PendingRequest, RequestFailure, ResponseHeaders


@dataclass
class RecordingHandler:
    """Records the events of one response."""

    statuses: list[int] = field(default_factory=list)
    headers: list[ResponseHeaders] = field(default_factory=list)
    body: bytes = b""

    def on_assigned(self, call: PendingRequest) -> None: ...

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        self.statuses.append(status)
        self.headers.append(headers)

    def on_response_data(self, data: bytes) -> None:
        self.body += data

    def on_response_end(self) -> None: ...

    def on_failure(self, failure: RequestFailure) -> None: ...


class SentRequest:
    """A request that was sent, and its nonce."""

    def __init__(self, reader: ResponseReader) -> None:
        self.handler = RecordingHandler()
        self.reader = reader
        reader.expect(self.handler)
        found = re.search(rb"\r\nfnkit-request: (\w+)\r\n", reader.encode_head(2))
        assert found is not None
        self.nonce = found.group(1)

    def feed(self, data: bytes, cuts: list[int]) -> bool | None:
        """Feed data in pieces; return whether the response is complete, ``None`` after a protocol violation."""
        split_points = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        is_complete = False
        try:
            for start, end in itertools.pairwise(split_points):
                if start < end:
                    is_complete = self.reader.feed(data[start:end]) or is_complete
        except ProtocolViolation:
            return None
        return is_complete


def response(nonce: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nfnkit-request: %b\r\n\r\n"
    return head % (len(body), nonce) + body


cuts = st.lists(st.integers(0, 400), max_size=5)
bodies = st.lists(st.tuples(st.binary(max_size=100), cuts), min_size=1, max_size=5)


@given(bodies)
def test_response_reaches_its_own_request_however_it_is_split(
    bodies: list[tuple[bytes, list[int]]],
) -> None:
    reader = ResponseReader()
    for body, split_points in bodies:
        request = SentRequest(reader)
        assert request.feed(response(request.nonce, body), split_points) is True
        assert (request.handler.statuses, request.handler.body) == ([200], body)
        assert dict(request.handler.headers[0]) == {
            b"content-type": b"text/plain",
            b"content-length": b"%d" % len(body),
        }
        assert not reader.has_trailing_data


@given(st.binary(max_size=100), cuts)
def test_response_to_previous_request_is_rejected(body: bytes, split_points: list[int]) -> None:
    reader = ResponseReader()
    first = SentRequest(reader)
    assert first.feed(response(first.nonce, b"first"), []) is True
    second = SentRequest(reader)
    assert second.feed(response(first.nonce, body), split_points) is None
    assert (second.handler.statuses, second.handler.body) == ([], b"")


@given(st.binary(max_size=300), cuts)
def test_response_without_nonce_is_not_delivered(data: bytes, split_points: list[int]) -> None:
    request = SentRequest(ResponseReader())
    assert not request.feed(b"HTTP/1.1 200 OK\r\n" + data, split_points)
    assert (request.handler.statuses, request.handler.body) == ([], b"")


@given(st.binary(min_size=1, max_size=100).filter(lambda data: bool(data.strip(b"\r\n"))), st.binary(max_size=20))
def test_trailing_data_after_a_response_is_detected(trailing: bytes, body: bytes) -> None:
    reader = ResponseReader()
    request = SentRequest(reader)
    whole = response(request.nonce, body) + trailing
    assert request.feed(whole, []) is True
    assert request.handler.body == body
    assert reader.has_trailing_data
