"""The limits on what instances use: of each (``LimitMonitor``), and of all together (``MemoryBudget``)."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.data_plane.helper_process import start_helper
from fnkit.platform.data_plane.workers.instance import LocalInstance

_CHECK_INTERVAL: Final = 0.25
_WATCH_DELAY: Final = 0.05
"""Seconds before an instance is measured: until then it is busy with its start, which must not share its CPU."""
_MIB: Final = 1024 * 1024
_METER: Final = "fnkit.platform.data_plane.workers.usage_meter"
_METER_RESTART_DELAY: Final = 0.25
_READ_BYTES: Final = 65536
_END_REASONS: Final = {
    "memory": "out of memory",  # the same reason as when a cgroup's limit was hit
    "disk": f"out of disk: more than {DISK_MAX_BYTES // _MIB} MiB",
    "hidden": "its processes hide what they use",
}


def default_memory_budget() -> int:
    """Return half of the memory of this machine, in MB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB // 2


class MemoryBudget:
    """The memory that instances and deployment zygotes may use together, and the starts that wait for it.

    A reservation is the memory limit of an instance in full, whatever it uses: an instance that reaches its limit
    must not take memory that another one was promised.

    Attributes:
        limit: MB that may be reserved.
        used: MB that are reserved.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiter: asyncio.Future[None] | None = None

    def reserve(self, memory: int) -> bool:
        """Reserve this much. Return ``False`` if it exceeds the budget."""
        if self.used + memory > self.limit:
            return False
        self.used += memory
        return True

    def release(self, memory: int) -> None:
        """Return memory that was reserved."""
        self.used -= memory
        self.retry()

    def retry(self) -> None:
        """Let the start that waits for memory try again, because something has changed that it depends on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait_for_retry(self) -> None:
        """Wait for ``retry``. Only one caller may wait at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class LimitMonitor:
    """Enforces the limits of running instances that the kernel does not.

    Args:
        counts_memory: Whether no cgroups limit the memory. Takes effect on Linux only, which reports the memory of
            processes.
    """

    def __init__(self, *, counts_memory: bool) -> None:
        self._counts_memory = counts_memory and sys.platform == "linux"
        self._instances: dict[int, LocalInstance] = {}  # by number
        self._usage = UsageMonitor(self._on_exceeded)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, instance: LocalInstance, *, memory: int) -> None:
        """Enforce limits on an instance until it ends.

        Args:
            instance: The instance.
            memory: Bytes.
        """
        process = instance.process
        self._instances[process.number] = instance
        instance.ended.add_done_callback(lambda _: self._remove(process.number))
        self._loop.call_later(_WATCH_DELAY, self._watch, instance, memory)
        if self._timer is None and process.groups is not None:
            self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_groups)

    def _watch(self, instance: LocalInstance, memory: int) -> None:
        process = instance.process
        if process.number not in self._instances:
            return  # it has ended
        self._usage.watch(
            process.number,
            process.pid,
            memory=memory if self._counts_memory and process.pid else None,
            disk=(process.host_directory, DISK_MAX_BYTES) if process.host_directory is not None else None,
        )

    def _remove(self, number: int) -> None:
        self._instances.pop(number, None)
        self._usage.forget(number)

    def _on_exceeded(self, number: int, exceeded: str) -> None:
        self._instances[number].kill(_END_REASONS[exceeded])

    def _check_groups(self) -> None:
        """End instances of which the kernel has killed a process: perhaps a child of the handler only."""
        for instance in list(self._instances.values()):
            if instance.process.groups is not None and instance.process.groups.ran_out_of_memory():
                instance.kill(_END_REASONS["memory"])
        self._timer = self._loop.call_later(_CHECK_INTERVAL, self._check_groups) if self._instances else None

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        self._instances.clear()
        self._usage.close()


@dataclass(slots=True)
class _MeterProcess:
    """A running usage meter and our end of the socket that is its standard input and output."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    received: bytes = b""
    unsent: bytes = b""


class UsageMonitor:
    """Runs the usage meter from the first instance on, and starts it again if it ends.

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
        if self._watched.pop(number, None) is not None and self._meter is not None:
            self._send(self._meter, f"forget {number}\n".encode())

    def _start(self) -> None:
        if self._meter is not None or not self._watched:
            return
        try:
            self._meter = _MeterProcess(*start_helper(_METER))
        except OSError:  # no descriptors or processes are left
            self._loop.call_later(_METER_RESTART_DELAY, self._start)
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
        self._loop.call_later(_METER_RESTART_DELAY, self._start)

    def close(self) -> None:
        """End the meter."""
        if self._meter is not None:
            meter, self._meter = self._meter, None
            self._loop.remove_reader(meter.connection)
            self._loop.remove_writer(meter.connection)
            meter.connection.close()
            meter.process.kill()
            meter.process.wait()
