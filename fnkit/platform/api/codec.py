"""JSON codec of request and response bodies. Errors name the line and column, or the field."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from fnkit.platform.control.refusals import ControlError

__all__ = ["MAX_BODY_BYTES", "decode", "encode"]

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Enough for 100 secrets of 64 KiB each, with every character escaped."""

T = TypeVar("T")
_BYTE_OFFSET: Final = re.compile(r" \(byte (\d+)\)$")
_FIELD_PATH: Final = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)
_encoder: Final = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Return compact JSON."""
    return _encoder.encode(value)


def decode(body: bytes, body_type: type[T]) -> T:
    """Decode a JSON body; an empty body counts as ``{}``.

    Raises:
        ControlError: 400 with line and column for malformed JSON, with the field for a value of the wrong type.
    """
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=body_type)
    except msgspec.ValidationError as error:
        # msgspec validates while it parses, so a type error may come before a syntax error further on. The real
        # API parses first: a second pass without types raises the syntax error, if there is one.
        decode(body, object)
        raise ControlError(400, _type_error_message(str(error))) from None
    except msgspec.DecodeError as error:
        raise ControlError(400, _syntax_error_message(body, str(error))) from None
    except UnicodeDecodeError as error:
        raise ControlError(400, f"proto: syntax error: the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ControlError(400, "proto: syntax error: the body is nested too deeply") from None


def _type_error_message(text: str) -> str:
    match = _FIELD_PATH.search(text)
    if match is None:
        return f"invalid value for the body: {text}"
    return f"invalid value for {match.group(1) or 'the body'}: {text[: match.start()]}"


def _syntax_error_message(body: bytes, text: str) -> str:
    """Return the message in protojson's form: ``proto: syntax error (line 1:183): unexpected token …``."""
    match = _BYTE_OFFSET.search(text)
    start = len(body) - len(body.lstrip())
    # msgspec reports no offset for truncated input: the error is at the end of the body.
    before = body.rstrip() if match is None else body[: start + int(match.group(1))]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    what = (text if match is None else text[: match.start()]).removeprefix("JSON is malformed: ")
    return f"proto: syntax error (line {line}:{column}): {what}"
