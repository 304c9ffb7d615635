"""Which crons run when, and the requests that their runs and replays dispatch to functions.

A scheduled run and its delivery are committed together before anything is sent, so that a run is started at most
once, even if control is killed in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.hosts import domain_name
from fnkit.platform.records.delivery import Delivery
from fnkit.platform.records.function import FunctionRecord

__all__ = ["DispatchRequest", "build_dispatch_request"]

_NANOSECONDS_PER_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class DispatchRequest:
    """A recorded delivery that is to be sent to a function.

    Attributes:
        source_id: The cron or trigger.
        delivery: The delivery, in status ``pending``.
        body: The body of the request.
        function_id: The function to call.
        host: The function's hostname at the gateway.
        timeout: The function's timeout in seconds of real time.
        max_concurrency: Number of requests that the function handles at a time.
        scheduled_at: Scheduled time of a cron's run in Unix seconds of platform time, ``None`` for other requests.
    """

    source_id: str
    delivery: Delivery
    body: bytes
    function_id: str
    host: str
    timeout: float
    max_concurrency: int
    scheduled_at: float | None = None


def build_dispatch_request(
    context: ControlContext, source_id: str, function: FunctionRecord, delivery: Delivery, body: bytes
) -> DispatchRequest | None:
    """Return the request for a delivery, or ``None`` if the function has no deployment that serves requests."""
    if function.serving is None:
        return None
    settings = function.serving.settings
    return DispatchRequest(
        source_id=source_id,
        delivery=delivery,
        body=body,
        function_id=function.id,
        host=domain_name(function.host_label, function.region, context.settings.domain_suffix),
        timeout=settings.timeout / _NANOSECONDS_PER_SECOND,
        max_concurrency=max(1, settings.max_scale),
    )
