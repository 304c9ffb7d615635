"""What a data plane says it has counted, now."""

from __future__ import annotations

import msgspec

from fnkit.platform.model.metrics import DataPlaneMetricsSnapshot, FunctionMetricsSnapshot
from fnkit.platform.model.routing import Route
from tests.support.data_plane import DataPlaneProcess
from tests.support.waiting import wait_until

__all__ = ["held", "measure", "of"]


def measure(plane: DataPlaneProcess) -> DataPlaneMetricsSnapshot:
    """Everything."""
    reply = plane.private_call("data-plane", "/metrics")
    assert reply.status == 200
    return msgspec.msgpack.decode(reply.body, type=DataPlaneMetricsSnapshot)


def of(plane: DataPlaneProcess, route: Route) -> FunctionMetricsSnapshot:
    """What is counted of one function."""
    return next(one for one in measure(plane).engine.functions if one.function_id == route.function_id)


def held(plane: DataPlaneProcess, route: Route, *, busy: int, waiting: int = 0) -> None:
    """Wait until so many instances of a function hold a request, and so many requests wait for one."""

    def state() -> tuple[int, int]:
        now = of(plane, route)
        return now.busy, now.queued

    wait_until(lambda: state() == (busy, waiting), what=f"{busy} busy, {waiting} waiting")
