"""One call that is to be made: what goes to which function, for whom, and as what it is logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.hosts import domain_name
from fnkit.platform.records.delivery import Delivery
from fnkit.platform.records.function import FunctionRecord

__all__ = ["Firing", "firing_for"]

_NANOSECONDS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Firing:
    """A delivery that was begun.

    source_id: the cron or trigger. host: what the function answers under. timeout: the function's own, in real
    seconds. at_once: how many requests the function takes at a time. tick: the moment that it belongs to, in Unix
    seconds of platform time, ``None`` where it is no tick.
    """

    source_id: str
    delivery: Delivery
    body: bytes
    function_id: str
    host: str
    timeout: float
    at_once: int
    tick: float | None = None


def firing_for(
    context: ControlContext, source_id: str, function: FunctionRecord, delivery: Delivery, body: bytes
) -> Firing | None:
    """Return the call that a delivery asks for; ``None`` where nothing is deployed that could answer it."""
    if function.serving is None:
        return None
    settings = function.serving.settings
    return Firing(
        source_id=source_id,
        delivery=delivery,
        body=body,
        function_id=function.id,
        host=domain_name(function.host_label, function.region, context.settings.domain_suffix),
        timeout=settings.timeout / _NANOSECONDS,
        at_once=max(1, settings.max_scale),
    )
