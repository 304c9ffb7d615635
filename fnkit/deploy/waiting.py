"""Polls resources until they reach a final state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.resources import Function, Namespace
from fnkit.deploy.pacing import Pace
from fnkit.errors import DeployError, NotFoundError

__all__ = ["until_function_gone", "until_function_settled", "until_namespace_gone", "until_namespace_ready"]

_MOVING: Final = frozenset({Status.PENDING, Status.CREATING})
_BUILD_SECONDS: Final = 45 * 60.0  # Scaleway documents a limit of 40 minutes for builds
_NAMESPACE_SECONDS: Final = 300.0


def until_function_settled(
    api: FunctionsApi, function: Function, pace: Pace, tell: Callable[[str], None]
) -> Function:
    """Return the function once it is neither pending nor creating.

    Args:
        api: The API.
        function: The function to wait for.
        limiter: Limits concurrent requests.
        on_step: Called with each new build message.

    Raises:
        DeployError: The function did not reach a final status in 45 minutes.
    """
    last_message: str | None = None

    def settled() -> Function | None:
        nonlocal last_message
        current = pace.ask(lambda: api.functions.get(function.id), repeatable=True)
        if current.status not in _MOVING:
            return current
        if current.build_message and current.build_message != last_message:
            last_message = current.build_message
            tell(last_message)
        return None

    final = pace.until(settled, seconds=_BUILD_SECONDS, longest_pause=_longest(api, 5.0))
    if final is None:
        raise DeployError(f"{function.name} is still {function.status} after 45 minutes.", code="still-pending")
    return final


def until_function_gone(api: FunctionsApi, function_id: str, name: str, pace: Pace) -> None:
    """Wait until the function returns 404.

    Raises:
        DeployError: It still exists after five minutes.
    """
    _until_gone(api, lambda: api.functions.get(function_id), f"function {name}", pace)


def until_namespace_gone(api: FunctionsApi, namespace_id: str, name: str, pace: Pace) -> None:
    """Wait until the namespace returns 404.

    Raises:
        DeployError: It still exists after five minutes.
    """
    _until_gone(api, lambda: api.namespaces.get(namespace_id), f"namespace {name}", pace)


def until_namespace_ready(api: FunctionsApi, namespace: Namespace, pace: Pace) -> Namespace:
    """Return the namespace once it is ready.

    Raises:
        DeployError: It is in error, or did not reach a final status in five minutes.
    """

    def settled() -> Namespace | None:
        current = pace.ask(lambda: api.namespaces.get(namespace.id), repeatable=True)
        return None if current.status in _MOVING else current

    final = (
        namespace
        if namespace.status not in _MOVING
        else pace.until(settled, seconds=_NAMESPACE_SECONDS, longest_pause=_longest(api, 2.0))
    )
    if final is None or final.status != Status.READY:
        status = final.status if final else namespace.status
        reason = f": {final.error_message}" if final and final.error_message else ""
        raise DeployError(f"The namespace {namespace.name} is {status}{reason}.", code="namespace-not-ready")
    return final


def _until_gone(api: FunctionsApi, get: Callable[[], object], what: str, pace: Pace) -> None:
    def gone() -> bool | None:
        try:
            pace.ask(get, repeatable=True)
        except NotFoundError:
            return True
        return None

    if pace.until(gone, seconds=_NAMESPACE_SECONDS, longest_pause=_longest(api, 2.0)) is None:
        raise DeployError(f"The {what} still exists five minutes after its deletion.", code="still-deleting")


def _longest(api: FunctionsApi, far_away: float) -> float:
    """Return the longest polling interval.

    A local platform builds in a fraction of a second, so it is polled more often.
    """
    return 0.15 if api.endpoint.loopback else far_away
