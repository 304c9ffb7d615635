"""The delivery protocol between control and gateway: frames survive any splitting; invalid ones are rejected."""

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

Sent: TypeAlias = tuple[int, str, str, bytes, str] | tuple[int, DeliveryResponse] | tuple[int]

NUMBERS = st.integers(0, 2**64 - 1)
TEXTS = st.text(st.characters(max_codepoint=255), max_size=40)
REQUESTS = st.tuples(NUMBERS, TEXTS, TEXTS, st.binary(max_size=200), TEXTS)
RESPONSES = st.tuples(
    NUMBERS, st.builds(DeliveryResponse, st.integers(100, 999), st.booleans(), st.binary(max_size=60))
)


def encode(sent: Sent) -> bytes:
    if len(sent) == 5:
        return encode_request_frame(*sent)
    return encode_response_frame(*sent) if len(sent) == 2 else encode_cancel_frame(*sent)


def decode(frame: Frame) -> Sent:
    if frame.kind == REQUEST:
        host, content_type, body, request_id = decode_request(frame.payload)
        texts = [text.decode("latin-1") for text in (host, content_type, request_id)]
        return frame.delivery_id, texts[0], texts[1], body, texts[2]
    if frame.kind == RESPONSE:
        return frame.delivery_id, decode_response(frame.payload)
    assert (frame.kind, frame.payload) == (CANCEL, b"")
    return (frame.delivery_id,)


@given(st.lists(REQUESTS | RESPONSES | st.tuples(NUMBERS), max_size=12), st.data())
def test_frames_are_decoded_however_the_bytes_are_split(sent: list[Sent], data: st.DataObject) -> None:
    whole = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    reader, received = FrameDecoder(), list[Frame]()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        received += reader.feed(whole[start:end])

    assert [decode(frame) for frame in received] == sent


@given(st.integers(0, 8) | st.integers(64 * 1024 * 1024 + 1, 2**32 - 1))
def test_invalid_frame_length_is_rejected(length: int) -> None:
    with pytest.raises(ValueError, match="invalid frame length"):
        FrameDecoder().feed(length.to_bytes(4, "little") + bytes(9))


@pytest.mark.parametrize("read", [decode_request, decode_response])
def test_truncated_payload_is_rejected(read: object) -> None:
    with pytest.raises(ValueError, match=r"without"):
        read(b"\x01")  # type: ignore[operator]  # one of two functions


def test_request_payload_has_host_content_type_and_body() -> None:
    [frame] = FrameDecoder().feed(encode_request_frame(7, "f.localhost", "text/plain", b"body"))

    assert decode_request(frame.payload) == DeliveryRequest(b"f.localhost", b"text/plain", b"body")
