"""Bodies in and out. What cannot be read is refused with the place, or the field, that is wrong."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from fnkit.platform.control.refusals import Refusal

__all__ = ["MAX_BODY_BYTES", "decode", "encode"]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""A hundred secrets of 64 KiB, escaped, and room to spare."""

T = TypeVar("T")
_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_FIELD: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_encoder: Final = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Return compact JSON."""
    return _encoder.encode(value)


def decode(body: bytes, kind: type[T]) -> T:
    """Read a JSON object; an empty body is an empty one, whatever its Content-Type was.

    Raises:
        Refusal: 400 with line and column for what is not JSON, with the field for a value of the wrong type.
    """
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        decode(body, object)  # what is not JSON at all is told first
        raise Refusal(400, _wrong_type(str(error))) from None
    except msgspec.DecodeError as error:
        raise Refusal(400, _malformed(body, str(error))) from None
    except UnicodeDecodeError as error:
        raise Refusal(400, f"proto: syntax error: the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Refusal(400, "proto: syntax error: the body is nested too deeply") from None


def _wrong_type(text: str) -> str:
    match = _FIELD.search(text)
    if match is None:
        return f"invalid value for the body: {text}"
    return f"invalid value for {match.group(1) or 'the body'}: {text[: match.start()]}"


def _malformed(body: bytes, text: str) -> str:
    """Say where, in protojson's form (reported: ``proto: syntax error (line 1:183): unexpected token …``)."""
    match = _BYTE.search(text)
    start = len(body) - len(body.lstrip())
    # Without a byte, it is the end that came too early.
    before = body.rstrip() if match is None else body[: start + int(match.group(1))]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    what = (text if match is None else text[: match.start()]).removeprefix("JSON is malformed: ")
    return f"proto: syntax error (line {line}:{column}): {what}"
