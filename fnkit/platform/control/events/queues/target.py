"""Where a trigger's messages are sent: the current deployment of its function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.control.addresses import domain_name
from fnkit.platform.control.context import ControlContext

__all__ = ["MAX_IN_FLIGHT", "DeliveryTarget", "find_target"]

MAX_IN_FLIGHT: Final = 10
"""Number of requests that one trigger has in flight at most, as Scaleway documents."""

_NANOSECONDS_PER_SECOND: Final = 10**9
_RESPONSE_GRACE_SECONDS: Final = 60.0  # real seconds for a cold start, added to the function's timeout


@dataclass(frozen=True, slots=True)
class DeliveryTarget:
    """A function that serves requests.

    Attributes:
        function: Its name.
        host: Its hostname at the gateway.
        timeout: Real seconds to wait for its response.
        max_concurrency: Number of messages to send at a time. Never more than it has instances: requests in the
            queue of the gateway use up their timeout.
    """

    function: str
    host: str
    timeout: float
    max_concurrency: int


def find_target(context: ControlContext, function_id: str) -> DeliveryTarget | None:
    """Return the target of a function, or ``None`` if nothing is deployed."""
    function = context.store.functions.get(function_id)
    if function is None or function.serving is None:
        return None
    settings = function.serving.settings
    return DeliveryTarget(
        function=function.name,
        host=domain_name(function.host_label, function.region, context.settings.domain_suffix),
        timeout=settings.timeout / _NANOSECONDS_PER_SECOND + _RESPONSE_GRACE_SECONDS,
        max_concurrency=max(1, min(MAX_IN_FLIGHT, settings.max_scale)),
    )
