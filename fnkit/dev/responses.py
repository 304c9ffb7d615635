"""The line that the platform logs about each response."""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.client.loki import LogLine
from fnkit.contract.platform import ResponseLine

_decoder: Final = msgspec.json.Decoder(ResponseLine)


def read_response(line: LogLine) -> ResponseLine | None:
    """Return the response that a line is about; ``None`` if it is another line."""
    if line.stream != "responses":
        return None
    try:
        return _decoder.decode(line.message)
    except msgspec.DecodeError:
        return None
