"""Which lines to read: the functions, the streams, and the query that selects them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fnkit.client.loki import LogLine
from fnkit.logs.levels import LogLevel, is_request_line

_RESOURCE_TYPE: Final = "serverless_function"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSelection:
    """The lines to show.

    Args:
        builds: Only the output of builds, instead of what functions and runtimes write.
        level: The least level to show; ``None`` for everything except the lines about requests.
        responses: Also the platform's lines about responses, whatever the level.
    """

    builds: bool = False
    level: LogLevel | None = None
    responses: bool = False

    def includes(self, line: LogLine, level: LogLevel) -> bool:
        """Return whether to show a line of this level."""
        if self.builds:
            return line.stream == "build"
        if line.stream == "responses":
            return self.responses
        if self.level is not None:
            return level >= self.level
        return not is_request_line(line)


def build_query(function_ids: Sequence[str], selection: LogSelection, *, is_platform: bool) -> str:
    """Return the query for the lines of functions.

    Args:
        function_ids: IDs of at least one function.
        selection: The lines to show.
        is_platform: Whether the local platform answers. There ``stream`` is a label, so that a selector avoids
            reading the lines about requests; in Cockpit it is metadata.
    """
    ids = "|".join(sorted(function_ids))
    matchers = [f'resource_type="{_RESOURCE_TYPE}"', f'resource_id=~"{ids}"']
    if not is_platform:
        return f"{{{', '.join(matchers)}}}"
    if selection.builds:
        matchers.append('stream="build"')
    elif selection.level is not None and selection.level <= LogLevel.DEBUG:
        matchers.append('stream!~"build|responses"')
    else:
        streams = "stdout|stderr|system" + ("|responses" if selection.responses else "")
        matchers.append(f'stream=~"{streams}"')
    return f"{{{', '.join(matchers)}}}"


def request_query(function_id: str, request_id: str) -> str:
    """Return the query for what a function wrote during a request, with the runtime's line about it."""
    quoted = json.dumps(request_id)  # a client may choose it: any visible characters
    return f'{{resource_type="{_RESOURCE_TYPE}", resource_id="{function_id}"}} | request_id={quoted}'
