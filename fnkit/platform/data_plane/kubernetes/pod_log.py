"""The output of instances, read from the logs of their Pods.

The core runtime writes ``<stream> <request id> <line>`` for each line of the handler, since a Pod's log tells
neither. What it cannot have written that way, such as why it did not start, is taken as standard error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from fnkit.platform.data_plane.kubernetes.cluster import Cluster, ClusterError
from fnkit.platform.data_plane.kubernetes.log_positions import LogPositions
from fnkit.platform.data_plane.kubernetes.pod_instance import PodInstance
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.log_record import LogStream

_FIRST_PAUSE: Final = 0.2
_LAST_PAUSE: Final = 3.0  # while the API server is away, which would get a request for each Pod
_MAX_LINE_BYTES: Final = 65536 + 256  # what the core runtime writes at most
_STREAMS: Final[dict[bytes, LogStream]] = {b"stdout": "stdout", b"stderr": "stderr"}
_SYSTEM: Final = b"system"
_OWN_MESSAGE: Final = b"- fnkit: "
_EXIT_STATUS: Final = re.compile(rb"the worker ended(?: before it was ready)?: (?:exit|killed by signal) \d+")


class PodLog:
    """Follows the log of one Pod until its container has ended.

    Args:
        cluster: The cluster.
        instance: The instance.
        logs: Receives its lines.
        positions: How far the logs of Pods have been read.
    """

    def __init__(self, cluster: Cluster, instance: PodInstance, logs: LogWriter, positions: LogPositions) -> None:
        self._cluster = cluster
        self._instance = instance
        self._logs = logs
        self._positions = positions
        self._rest = b""

    async def follow(self) -> None:
        """Read until the container has ended, or the Pod is gone."""
        name, pause = self._instance.name, _FIRST_PAUSE
        while True:
            has_ended = bool(self._instance.state_of_pod.end)
            try:
                async with self._cluster.open_log(name, self._positions.get(name)) as pieces:
                    pause = _FIRST_PAUSE
                    await self._read(pieces)
                has_ended = has_ended or self._instance.is_exiting
            except ClusterError:
                pause = min(_LAST_PAUSE, pause * 2)
            if has_ended or self._instance.ended.done():
                return
            await asyncio.sleep(pause)

    async def _read(self, pieces: AsyncIterator[bytes]) -> None:
        self._rest = b""
        async for piece in pieces:
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._write(lines)
            if len(self._rest) > _MAX_LINE_BYTES:
                self._write([self._rest])
                self._rest = b""
        if self._rest:
            self._write([self._rest])

    def _write(self, lines: list[bytes]) -> None:
        """Write lines to the function's log, those of one request and stream together."""
        name = self._instance.name
        position = self._positions.get(name)
        group: tuple[LogStream, str] | None = None
        messages: list[bytes] = []
        for line in lines:
            time, _, rest = line.partition(b" ")
            if (at := time.decode("latin-1")) <= position:
                continue  # read before the connection was lost
            position = at
            stream, request_id, message = parse_line(rest)
            if stream is None:
                continue
            if (stream, request_id) != group:
                self._flush(group, messages)
                group, messages = (stream, request_id), []
            messages.append(message)
        self._flush(group, messages)
        self._positions.advance(name, position)

    def _flush(self, group: tuple[LogStream, str] | None, messages: list[bytes]) -> None:
        if group is not None:
            stream, request_id = group
            self._logs.write(self._instance.route.function_id, self._instance.name, request_id, stream, messages)


def parse_line(line: bytes) -> tuple[LogStream | None, str, bytes]:
    """Return stream, request and message of a line of the core runtime.

    There is no stream if the line only repeats the exit status, which the engine logs for every instance.

    >>> parse_line(b"stdout 7f3e hello")
    ('stdout', '7f3e', b'hello')
    >>> parse_line(b"stderr - Traceback")
    ('stderr', '', b'Traceback')
    >>> parse_line(b"system - fnkit: the worker ended: it sent data without a request")
    ('system', '', b'the worker ended: it sent data without a request')
    >>> parse_line(b"system - fnkit: the worker ended: exit 3")
    (None, '', b'the worker ended: exit 3')
    """
    name, _, rest = line.partition(b" ")
    if name == _SYSTEM:
        message = rest.removeprefix(_OWN_MESSAGE)
        return None if _EXIT_STATUS.fullmatch(message) else "system", "", message
    stream = _STREAMS.get(name)
    if stream is None:
        return "stderr", "", line
    request_id, _, message = rest.partition(b" ")
    return stream, "" if request_id == b"-" else request_id.decode("latin-1"), message
