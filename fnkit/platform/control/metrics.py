"""Collection of the platform's metrics: those of control, of the data plane, and of the processes themselves.

CPU, memory and open descriptors of processes come from ``/proc``, so only Linux has them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.counters import ControlMetrics
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.model.metrics import METRICS_PATH, DataPlaneMetricsSnapshot

_START_TIME_INDEX, _USER_TIME_INDEX, _SYSTEM_TIME_INDEX, _RESIDENT_PAGES_INDEX = 19, 11, 12, 21
"""Fields 22, 14, 15 and 24 of ``/proc/PID/stat`` (proc_pid_stat(5)), as indexes into the fields after the name."""
_CLOCK_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_FETCH_TIMEOUT: Final = 5.0  # less than Prometheus' default scrape_timeout of 10 s
_METRICS_REQUEST: Final = f"GET {METRICS_PATH} HTTP/1.1\r\nHost: data-plane\r\nConnection: close\r\n\r\n".encode()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """The resource usage of one process.

    Attributes:
        cpu_seconds: CPU time in user and system mode.
        resident_bytes: Resident memory.
        open_descriptors: Number of open file descriptors.
        started_at: Start time in Unix seconds.
    """

    cpu_seconds: float
    resident_bytes: int
    open_descriptors: int
    started_at: float


def read_process_usage(pid: int) -> ProcessUsage | None:
    """Return the usage of a process, or ``None`` if its files in ``/proc`` do not exist or cannot be read."""
    folder = Path(f"/proc/{pid}")
    try:
        # The name in parentheses may itself contain spaces and parentheses, so split after the last one.
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return ProcessUsage(
            cpu_seconds=(int(fields[_USER_TIME_INDEX]) + int(fields[_SYSTEM_TIME_INDEX])) / _CLOCK_TICKS_PER_SECOND,
            resident_bytes=int(fields[_RESIDENT_PAGES_INDEX]) * _PAGE_BYTES,
            open_descriptors=sum(1 for _ in (folder / "fd").iterdir()),
            started_at=_boot_time() + int(fields[_START_TIME_INDEX]) / _CLOCK_TICKS_PER_SECOND,
        )
    except (OSError, ValueError, IndexError):
        return None


def _boot_time() -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    raise ValueError("no boot time")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMetrics:
    """A snapshot of all metrics.

    Attributes:
        version: Version of fnkit.
        isolation: The isolation level in force, empty while no data plane is connected.
        control: Counters of the control plane.
        data_plane: Metrics of the data plane, ``None`` if it did not respond.
        processes: Resource usage by process name; processes that cannot be read are absent.
    """

    version: str
    isolation: str
    control: ControlMetrics
    data_plane: DataPlaneMetricsSnapshot | None
    processes: dict[str, ProcessUsage] = field(default_factory=dict)


async def collect(context: ControlContext, link: DataPlaneLink, version: str) -> PlatformMetrics:
    """Collect all metrics, waiting up to five seconds for the data plane."""
    data_plane = await _fetch_data_plane_metrics(context.settings.gateway_socket)
    pids = {"control": os.getpid(), "supervisor": os.getppid(), "data-plane": link.data_plane_pid}
    usages = {name: read_process_usage(pid) for name, pid in pids.items() if pid}
    return PlatformMetrics(
        version=version,
        isolation=link.isolation or "",
        control=context.counters.snapshot(),
        data_plane=data_plane,
        processes={name: usage for name, usage in usages.items() if usage is not None},
    )


async def _fetch_data_plane_metrics(socket_path: str) -> DataPlaneMetricsSnapshot | None:
    try:
        async with asyncio.timeout(_FETCH_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                writer.write(_METRICS_REQUEST)
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        if not head.startswith(b"HTTP/1.1 200 "):
            return None
        return msgspec.msgpack.decode(body, type=DataPlaneMetricsSnapshot)
    except (OSError, TimeoutError, msgspec.MsgspecError) as error:
        _logger.debug("Reading the data plane's metrics failed: %s", error)
        return None
