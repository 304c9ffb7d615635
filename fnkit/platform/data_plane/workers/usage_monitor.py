"""Has instances measured that the kernel does not limit, and tells which exceed a limit."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_METER: Final = "fnkit.platform.data_plane.workers.usage_meter"
_RESTART_DELAY: Final = 0.25
_READ_BYTES: Final = 65536


@dataclass(slots=True)
class _MeterProcess:
    """A running usage meter and our end of the socket that is its standard input and output."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    received: bytes = b""
    unsent: bytes = b""


class UsageMonitor:
    """Runs the usage meter while there are instances to measure, and starts it again if it ends.

    Args:
        on_exceeded: Called with the number of an instance and with what it exceeds: ``memory`` or ``disk``, or
            ``hidden`` if it cannot be measured.
    """

    def __init__(self, on_exceeded: Callable[[int, str], None]) -> None:
        self._on_exceeded = on_exceeded
        self._loop = asyncio.get_running_loop()
        self._watched: dict[int, bytes] = {}  # the commands for each instance
        self._meter: _MeterProcess | None = None

    def watch(self, number: int, pid: int, *, memory: int | None, disk: tuple[str, int] | None) -> None:
        """Report this instance once, when it exceeds a limit.

        Args:
            number: The instance.
            pid: Its process; 0 if unknown.
            memory: The limit of the process and its descendants in bytes; ``None`` if the kernel enforces it.
            disk: A directory and its limit in bytes, if it has one.
        """
        commands = f"memory {number} {pid} {memory}\n" if memory is not None else ""
        if disk is not None:
            directory, limit = disk
            commands += f"disk {number} {pid} {limit} {directory}\n"
        if not commands:
            return
        self._watched[number] = commands.encode()
        if self._meter is None:
            self._start()
        else:
            self._send(self._meter, self._watched[number])

    def forget(self, number: int) -> None:
        """Stop measuring this instance, if it is measured."""
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

    def _send(self, meter: _MeterProcess, commands: bytes) -> None:
        meter.unsent += commands
        self._flush(meter)

    def _flush(self, meter: _MeterProcess) -> None:
        try:
            meter.unsent = meter.unsent[meter.connection.send(meter.unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended
            self._restart()
            return
        if meter.unsent:
            self._loop.add_writer(meter.connection, self._flush, meter)
        else:
            self._loop.remove_writer(meter.connection)

    def _on_readable(self, meter: _MeterProcess) -> None:
        try:
            part = meter.connection.recv(_READ_BYTES)
        except OSError:
            part = b""
        if not part:
            self._restart()
            return
        *lines, meter.received = (meter.received + part).split(b"\n")
        for line in lines:
            number, _, exceeded = line.decode().partition(" ")
            if self._watched.pop(int(number), None) is not None:
                self._on_exceeded(int(number), exceeded)

    def _restart(self) -> None:
        self.close()
        self._loop.call_later(_RESTART_DELAY, self._start)

    def close(self) -> None:
        """End the meter."""
        if self._meter is not None:
            meter, self._meter = self._meter, None
            self._loop.remove_reader(meter.connection)
            self._loop.remove_writer(meter.connection)
            meter.connection.close()
            meter.process.kill()
            meter.process.wait()


def _start_meter() -> _MeterProcess:
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
    return _MeterProcess(process, connection)
