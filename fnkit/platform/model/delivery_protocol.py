"""The binary protocol for deliveries between control and the gateway; many are multiplexed on one connection.

Control sends ``REQUEST`` frames and, when it stops waiting, ``CANCEL``. The gateway sends one ``RESPONSE`` for each
request that was not cancelled, in any order. A frame is little-endian: the length of what follows (4 bytes), the
kind (1), a delivery id that matches a response to its request (8), the payload.
``docs/decisions/delivery-protocol.md`` gives the reasons for not using HTTP here.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

MAX_BODY_BYTES: Final = 63 * 1024 * 1024
"""The largest body of a frame in bytes. The gateway's own limit is lower, so that it can answer with 413."""

REQUEST: Final = 1
CANCEL: Final = 2
RESPONSE: Final = 3

_LENGTH_FIELD: Final = struct.Struct("<I")
_FRAME_HEADER: Final = struct.Struct("<IBQ")
_FRAME_HEADER_BYTES: Final = _FRAME_HEADER.size
_MIN_FRAME_LENGTH: Final = _FRAME_HEADER.size - _LENGTH_FIELD.size
_ADDRESS_LENGTHS: Final = struct.Struct("<HHH")
_RESPONSE_HEADER: Final = struct.Struct("<H?")
_MAX_FRAME_LENGTH: Final = MAX_BODY_BYTES + 1024 * 1024  # a body, and room for its host and content type


class Frame(NamedTuple):
    """One frame. ``kind`` is ``REQUEST``, ``CANCEL`` or ``RESPONSE``."""

    kind: int
    delivery_id: int
    payload: bytes


class DeliveryRequest(NamedTuple):
    """A message to deliver to the function with this host name.

    ``request_id`` is the ``X-Request-Id`` of the request; if it is empty, the gateway makes one.
    """

    host: bytes
    content_type: bytes
    body: bytes
    request_id: bytes = b""


class DeliveryResponse(NamedTuple):
    """The outcome of a delivery.

    Attributes:
        status: The HTTP status that a client would have got.
        from_function: Whether an instance answered; false for the gateway's own errors.
        error_excerpt: The beginning of the body of a failed delivery, else empty.
    """

    status: int
    from_function: bool
    error_excerpt: bytes


class FrameDecoder:
    """Decodes frames from a stream of arbitrary chunks."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []  # chunks of the incomplete frame
        self._bytes_missing = 0  # lower bound of the bytes that complete it

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes.

        Raises:
            ValueError: The stream is not this protocol. The reader must not be used afterwards.
        """
        # Joining only when a frame can be complete keeps a large body that arrives in many chunks linear.
        if self._bytes_missing > len(data):
            self._chunks.append(data)
            self._bytes_missing -= len(data)
            return []
        if self._chunks:
            data = b"".join((*self._chunks, data))
        frames: list[Frame] = []
        position, size, missing = 0, len(data), _FRAME_HEADER_BYTES
        while size - position >= _FRAME_HEADER_BYTES:
            length, kind, number = _FRAME_HEADER.unpack_from(data, position)
            if not _MIN_FRAME_LENGTH <= length <= _MAX_FRAME_LENGTH:
                raise ValueError(f"invalid frame length {length}")
            end = position + _LENGTH_FIELD.size + length
            if end > size:
                missing = end - position
                break
            frames.append(Frame(kind, number, data[position + _FRAME_HEADER_BYTES : end]))
            position = end
        rest = data[position:]
        self._chunks = [rest] if rest else []
        self._bytes_missing = missing - len(rest) if rest else 0
        return frames


def encode_request_frame(
    delivery_id: int, host: str, content_type: str, body: bytes, request_id: str = ""
) -> bytes:
    """Encode a ``REQUEST`` frame."""
    address = _encode_address(host, content_type, request_id)
    return _FRAME_HEADER.pack(_MIN_FRAME_LENGTH + len(address) + len(body), REQUEST, delivery_id) + address + body


def decode_request(payload: bytes) -> DeliveryRequest:
    """Decode the payload of a ``REQUEST`` frame.

    Raises:
        ValueError: The payload is too short.
    """
    try:
        host, content_type, request_id = _ADDRESS_LENGTHS.unpack_from(payload)
    except struct.error:
        raise ValueError("a request frame without an address") from None
    middle = _ADDRESS_LENGTHS.size + host
    last = middle + content_type
    end = last + request_id
    return DeliveryRequest(
        payload[_ADDRESS_LENGTHS.size : middle], payload[middle:last], payload[end:], payload[last:end]
    )


def encode_cancel_frame(delivery_id: int) -> bytes:
    """Encode a ``CANCEL`` frame."""
    return _FRAME_HEADER.pack(_MIN_FRAME_LENGTH, CANCEL, delivery_id)


def encode_response_frame(delivery_id: int, response: DeliveryResponse) -> bytes:
    """Encode a ``RESPONSE`` frame."""
    length = _MIN_FRAME_LENGTH + _RESPONSE_HEADER.size + len(response.error_excerpt)
    return (
        _FRAME_HEADER.pack(length, RESPONSE, delivery_id)
        + _RESPONSE_HEADER.pack(response.status, response.from_function)
        + response.error_excerpt
    )


def decode_response(payload: bytes) -> DeliveryResponse:
    """Decode the payload of a ``RESPONSE`` frame.

    Raises:
        ValueError: The payload is too short.
    """
    try:
        status, of_function = _RESPONSE_HEADER.unpack_from(payload)
    except struct.error:
        raise ValueError("a response frame without a status") from None
    return DeliveryResponse(status, of_function, payload[_RESPONSE_HEADER.size :])


def _encode_address(host: str, content_type: str, request_id: str) -> bytes:
    first, second, third = (text.encode("latin-1") for text in (host, content_type, request_id))
    return _ADDRESS_LENGTHS.pack(len(first), len(second), len(third)) + first + second + third
