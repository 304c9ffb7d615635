"""Whatever an instance writes, in whatever pieces: a listener hears the answer to its own request, or nothing."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.data_plane.interface import PendingRequest, RequestFailure, ResponseHeaders
from fnkit.platform.data_plane.workers.http_client import ProtocolViolation, ResponseReader


@dataclass
class Heard:
    """What a listener was told."""

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


class Asked:
    """A request that was sent."""

    def __init__(self, reader: ResponseReader) -> None:
        self.heard = Heard()
        self.reader = reader
        reader.expect(self.heard)
        found = re.search(rb"\r\nfnkit-request: (\w+)\r\n", reader.encode_request(b"{}"))
        assert found is not None
        self.number = found.group(1)

    def hear(self, data: bytes, cuts: list[int]) -> bool | None:
        """Return whether the answer is complete; ``None`` when there is none."""
        places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        done = False
        try:
            for start, end in itertools.pairwise(places):
                if start < end:
                    done = self.reader.feed(data[start:end]) or done
        except ProtocolViolation:
            return None
        return done


def answer(number: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nfnkit-request: %b\r\n\r\n"
    return head % (len(body), number) + body


cuts = st.lists(st.integers(0, 400), max_size=5)
bodies = st.lists(st.tuples(st.binary(max_size=100), cuts), min_size=1, max_size=5)


@given(bodies)
def test_each_request_hears_its_own_answer_in_whatever_pieces_it_comes(
    bodies: list[tuple[bytes, list[int]]],
) -> None:
    reader = ResponseReader()
    for body, places in bodies:
        asked = Asked(reader)
        assert asked.hear(answer(asked.number, body), places) is True
        assert (asked.heard.statuses, asked.heard.body) == ([200], body)
        assert dict(asked.heard.headers[0]) == {
            b"content-type": b"text/plain",
            b"content-length": b"%d" % len(body),
        }
        assert not reader.has_trailing_data


@given(st.binary(max_size=100), cuts)
def test_the_answer_to_the_request_before_is_heard_by_nobody(body: bytes, places: list[int]) -> None:
    reader = ResponseReader()
    first = Asked(reader)
    assert first.hear(answer(first.number, b"first"), []) is True
    second = Asked(reader)
    assert second.hear(answer(first.number, body), places) is None
    assert (second.heard.statuses, second.heard.body) == ([], b"")


@given(st.binary(max_size=300), cuts)
def test_without_the_number_nothing_is_heard(data: bytes, places: list[int]) -> None:
    asked = Asked(ResponseReader())
    assert not asked.hear(b"HTTP/1.1 200 OK\r\n" + data, places)
    assert (asked.heard.statuses, asked.heard.body) == ([], b"")


@given(st.binary(min_size=1, max_size=100).filter(lambda data: bool(data.strip(b"\r\n"))), st.binary(max_size=20))
def test_what_follows_an_answer_in_the_same_piece_is_noticed(surplus: bytes, body: bytes) -> None:
    reader = ResponseReader()
    asked = Asked(reader)
    whole = answer(asked.number, body) + surplus
    assert asked.hear(whole, []) is True
    assert asked.heard.body == body
    assert reader.has_trailing_data
