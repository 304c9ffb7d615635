"""Has the disks of instances measured, and tells which exceed their limit."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_METER: Final = "fnkit.platform.data_plane.workers.disk_meter"
_RESTART_DELAY: Final = 0.25
_READ_BYTES: Final = 65536


@dataclass(slots=True)
class _Meter:
    """A running disk meter and our end of the socket that is its standard input and output."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    received: bytes = b""


class DiskMonitor:
    """Runs the disk meter while there are disks to measure, and starts it again if it ends.

    Args:
        on_exceeded: Called with the number of an instance whose disk exceeds its limit.
    """

    def __init__(self, on_exceeded: Callable[[int], None]) -> None:
        self._on_exceeded = on_exceeded
        self._loop = asyncio.get_running_loop()
        self._watched: dict[int, bytes] = {}  # the command for each instance
        self._meter: _Meter | None = None

    def watch(self, number: int, *, pid: int, directory: str, limit: int) -> None:
        """Report this instance when the files below a directory exceed a limit in bytes."""
        self._watched[number] = f"watch {number} {pid} {limit} {directory}\n".encode()
        if self._meter is None:
            self._start()
        else:
            self._send(self._meter, self._watched[number])

    def forget(self, number: int) -> None:
        """Stop measuring the disk of this instance, if it is measured."""
        if self._watched.pop(number, None) is None or self._meter is None:
            return
        if self._watched:
            self._send(self._meter, f"forget {number}\n".encode())
        else:
            self.close()

    def _start(self) -> None:
        if self._meter is not None or not self._watched:
            return
        try:
            self._meter = _start_meter()
        except OSError:  # no descriptors or processes are left
            self._loop.call_later(_RESTART_DELAY, self._start)
            return
        self._loop.add_reader(self._meter.connection, self._on_readable, self._meter)
        self._send(self._meter, b"".join(self._watched.values()))

    def _send(self, meter: _Meter, commands: bytes) -> None:
        try:
            meter.connection.sendall(commands)
        except OSError:  # it has ended, or does not read
            self._restart()

    def _on_readable(self, meter: _Meter) -> None:
        try:
            part = meter.connection.recv(_READ_BYTES)
        except OSError:
            part = b""
        if not part:
            self._restart()
            return
        *lines, meter.received = (meter.received + part).split(b"\n")
        for line in lines:
            if self._watched.pop(int(line), None) is not None:
                self._on_exceeded(int(line))

    def _restart(self) -> None:
        self.close()
        self._loop.call_later(_RESTART_DELAY, self._start)

    def close(self) -> None:
        """End the meter."""
        if self._meter is not None:
            meter, self._meter = self._meter, None
            self._loop.remove_reader(meter.connection)
            meter.connection.close()
            meter.process.kill()
            meter.process.wait()


def _start_meter() -> _Meter:
    connection, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _METER],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        connection.close()
        raise
    finally:
        theirs.close()
    connection.settimeout(0)
    return _Meter(process, connection)
