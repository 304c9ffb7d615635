"""Where a trigger's messages go: its function as it serves now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.hosts import domain_name

__all__ = ["IN_FLIGHT", "Target", "target_of"]

IN_FLIGHT: Final = 10
"""Published: at most that many requests of one trigger are in flight."""

_NANOSECONDS: Final = 10**9
_GRACE_SECONDS: Final = 60.0  # real: a cold start beyond the function's own timeout


@dataclass(frozen=True, slots=True)
class Target:
    """A function that serves. host: what it answers under. patience: real seconds in which it must have answered.

    at_once: how many messages go there at a time; never more than it has instances, since what waits in the
    gateway's queue has its timeout running.
    """

    function: str
    host: str
    patience: float
    at_once: int


def target_of(context: ControlContext, function_id: str) -> Target | None:
    """Return where to send; ``None`` where nothing is deployed."""
    function = context.store.functions.get(function_id)
    if function is None or function.serving is None:
        return None
    settings = function.serving.settings
    return Target(
        function=function.name,
        host=domain_name(function.host_label, function.region, context.settings.domain_suffix),
        patience=settings.timeout / _NANOSECONDS + _GRACE_SECONDS,
        at_once=max(1, min(IN_FLIGHT, settings.max_scale)),
    )
