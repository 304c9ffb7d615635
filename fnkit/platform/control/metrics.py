"""Collection of the platform's metrics: those of control and of the data plane, and the ids of the processes."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.counters import ControlMetrics
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.model.metrics import METRICS_PATH, DataPlaneMetricsSnapshot

_FETCH_TIMEOUT: Final = 5.0  # less than Prometheus' default scrape_timeout of 10 s
_METRICS_REQUEST: Final = f"GET {METRICS_PATH} HTTP/1.1\r\nHost: data-plane\r\nConnection: close\r\n\r\n".encode()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformMetrics:
    """A snapshot of all metrics.

    Attributes:
        version: Version of fnkit.
        isolation: The isolation level in force, empty while no data plane is connected.
        control: Counters of the control plane.
        data_plane: Metrics of the data plane, ``None`` if it did not respond.
        pids: The ids of the platform's own processes, by name.
    """

    version: str
    isolation: str
    control: ControlMetrics
    data_plane: DataPlaneMetricsSnapshot | None
    pids: dict[str, int] = field(default_factory=dict)


async def collect(context: ControlContext, link: DataPlaneLink, version: str) -> PlatformMetrics:
    """Collect all metrics, waiting up to five seconds for the data plane."""
    data_plane = await _fetch_data_plane_metrics(context.settings.gateway_socket)
    pids = {"control": os.getpid(), "supervisor": os.getppid(), "data-plane": link.data_plane_pid}
    return PlatformMetrics(
        version=version,
        isolation=link.isolation or "",
        control=context.counters.snapshot(),
        data_plane=data_plane,
        pids={name: pid for name, pid in pids.items() if pid},
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
