"""The program that converts large bodies, so that neither the event loop nor its interpreter's lock waits for them.

It reads jobs from standard input and writes their results to standard output, one after the other. A message is the
length of a document and that of a body, the document as msgpack, and the body. It exits at the end of its input.
"""

from __future__ import annotations

import contextlib
import resource
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from fnkit.contract.invocation.event import encode_text, is_base64
from fnkit.contract.invocation.native_request import native_text
from fnkit.platform.data_plane.gateway.response import map_worker_response

FRAME: Final = struct.Struct("<IQ")

_MAX_ADDRESS_SPACE: Final = 2 * 1024 * 1024 * 1024  # 32 MiB of JSON in short members take half
_PIECE_BYTES: Final = 1024 * 1024


class EncodeText(msgspec.Struct, frozen=True, tag=True):
    """Encode the body as a JSON string."""


class EncodedText(msgspec.Struct, frozen=True, tag=True):
    """The body is the JSON string. ``is_base64``: whether the body was base64."""

    is_base64: bool


class ReplaceInvalidText(msgspec.Struct, frozen=True, tag=True):
    """Replace what is not UTF-8 in the body."""


class ReplacedText(msgspec.Struct, frozen=True, tag=True):
    """The body is the text."""


class MapResponse(msgspec.Struct, frozen=True, tag=True):
    """Map the response of a worker, with this body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]


class MappedHead(msgspec.Struct, frozen=True, tag=True):
    """Status and headers of the client's response. The body is its body."""

    status: int
    headers: list[tuple[str, str]]


class OutOfMemory(msgspec.Struct, frozen=True, tag=True):
    """The conversion needs more memory than this process may use."""


Job = EncodeText | ReplaceInvalidText | MapResponse
Result = EncodedText | ReplacedText | MappedHead | OutOfMemory


def _convert(job: Job, body: bytes) -> tuple[Result, list[bytes]]:
    try:
        if isinstance(job, EncodeText):
            pieces = (body[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))
            return EncodedText(is_base64(body)), list(encode_text(pieces))
        if isinstance(job, ReplaceInvalidText):
            return ReplacedText(), [native_text(body)]
        response = map_worker_response(job.status, job.headers, body)
        return MappedHead(response.status, response.headers), [response.body]
    except MemoryError:
        return OutOfMemory(), []


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    decoder = msgspec.msgpack.Decoder(Job)
    while len(header := source.read(FRAME.size)) == FRAME.size:
        document_size, body_size = FRAME.unpack(header)
        document, body = source.read(document_size), source.read(body_size)
        if len(body) < body_size:
            return  # the data plane has ended
        result, pieces = _convert(decoder.decode(document), body)
        document = msgspec.msgpack.encode(result)
        sink.write(FRAME.pack(len(document), sum(map(len, pieces))) + document)
        sink.writelines(pieces)
        sink.flush()


def main() -> None:
    """Convert until standard input ends."""
    with contextlib.suppress(ValueError, OSError):  # not possible on every system
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
