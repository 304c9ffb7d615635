"""Laws of what control and the gateway say to each other: frames survive any splitting, garbage is no frame."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.model.delivery_protocol import (
    CANCEL,
    REQUEST,
    RESPONSE,
    DeliveryRequest,
    DeliveryResponse,
    Frame,
    FrameDecoder,
    decode_request,
    decode_response,
    encode_cancel_frame,
    encode_request_frame,
    encode_response_frame,
)

Said: TypeAlias = tuple[int, str, str, bytes] | tuple[int, DeliveryResponse] | tuple[int]

NUMBERS = st.integers(0, 2**64 - 1)
TEXTS = st.text(st.characters(max_codepoint=255), max_size=40)
POSTS = st.tuples(NUMBERS, TEXTS, TEXTS, st.binary(max_size=200))
ANSWERS = st.tuples(
    NUMBERS, st.builds(DeliveryResponse, st.integers(100, 999), st.booleans(), st.binary(max_size=60))
)


def frame_of(said: Said) -> bytes:
    if len(said) == 4:
        return encode_request_frame(*said)
    return encode_response_frame(*said) if len(said) == 2 else encode_cancel_frame(*said)


def said_by(frame: Frame) -> Said:
    if frame.kind == REQUEST:
        host, content_type, body = decode_request(frame.payload)
        return frame.delivery_id, host.decode("latin-1"), content_type.decode("latin-1"), body
    if frame.kind == RESPONSE:
        return frame.delivery_id, decode_response(frame.payload)
    assert (frame.kind, frame.payload) == (CANCEL, b"")
    return (frame.delivery_id,)


@given(st.lists(POSTS | ANSWERS | st.tuples(NUMBERS), max_size=12), st.data())
def test_what_was_said_is_heard_however_it_comes_in_pieces(said: list[Said], data: st.DataObject) -> None:
    whole = b"".join(map(frame_of, said))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    reader, heard = FrameDecoder(), list[Frame]()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        heard += reader.feed(whole[start:end])

    assert [said_by(frame) for frame in heard] == said


@given(st.integers(0, 8) | st.integers(64 * 1024 * 1024 + 1, 2**32 - 1))
def test_a_length_that_no_frame_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="invalid frame length"):
        FrameDecoder().feed(length.to_bytes(4, "little") + bytes(9))


@pytest.mark.parametrize("read", [decode_request, decode_response])
def test_a_frame_that_holds_too_little_is_refused(read: object) -> None:
    with pytest.raises(ValueError, match=r"without"):
        read(b"\x01")  # type: ignore[operator]  # one of two functions


def test_a_post_is_three_parts() -> None:
    [frame] = FrameDecoder().feed(encode_request_frame(7, "f.localhost", "text/plain", b"body"))

    assert decode_request(frame.payload) == DeliveryRequest(b"f.localhost", b"text/plain", b"body")
