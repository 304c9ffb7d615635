"""Polls resources until they reach a final state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.resources import Function, Namespace
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.errors import DeployError, NotFoundError

__all__ = ["wait_for_function_deletion", "wait_for_function", "wait_for_namespace_deletion", "wait_for_namespace"]

_TRANSIENT_STATUSES: Final = frozenset({Status.PENDING, Status.CREATING})
_BUILD_TIMEOUT_SECONDS: Final = 45 * 60.0  # Scaleway documents a limit of 40 minutes for builds
_NAMESPACE_TIMEOUT_SECONDS: Final = 300.0


def wait_for_function(
    api: FunctionsApi, function: Function, limiter: AdaptiveLimiter, on_step: Callable[[str], None]
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
        current = limiter.call(lambda: api.functions.get(function.id), idempotent=True)
        if current.status not in _TRANSIENT_STATUSES:
            return current
        if current.build_message and current.build_message != last_message:
            last_message = current.build_message
            on_step(last_message)
        return None

    final = limiter.poll(settled, timeout_seconds=_BUILD_TIMEOUT_SECONDS, max_interval=_max_poll_interval(api, 5.0))
    if final is None:
        raise DeployError(f"{function.name} is still {function.status} after 45 minutes.", code="still-pending")
    return final


def wait_for_function_deletion(api: FunctionsApi, function_id: str, name: str, limiter: AdaptiveLimiter) -> None:
    """Wait until the function returns 404.

    Raises:
        DeployError: It still exists after five minutes.
    """
    _wait_for_deletion(api, lambda: api.functions.get(function_id), f"function {name}", limiter)


def wait_for_namespace_deletion(api: FunctionsApi, namespace_id: str, name: str, limiter: AdaptiveLimiter) -> None:
    """Wait until the namespace returns 404.

    Raises:
        DeployError: It still exists after five minutes.
    """
    _wait_for_deletion(api, lambda: api.namespaces.get(namespace_id), f"namespace {name}", limiter)


def wait_for_namespace(api: FunctionsApi, namespace: Namespace, limiter: AdaptiveLimiter) -> Namespace:
    """Return the namespace once it is ready.

    Raises:
        DeployError: It is in error, or did not reach a final status in five minutes.
    """

    def settled() -> Namespace | None:
        current = limiter.call(lambda: api.namespaces.get(namespace.id), idempotent=True)
        return None if current.status in _TRANSIENT_STATUSES else current

    final = (
        namespace
        if namespace.status not in _TRANSIENT_STATUSES
        else limiter.poll(
            settled, timeout_seconds=_NAMESPACE_TIMEOUT_SECONDS, max_interval=_max_poll_interval(api, 2.0)
        )
    )
    if final is None or final.status != Status.READY:
        status = final.status if final else namespace.status
        reason = f": {final.error_message}" if final and final.error_message else ""
        raise DeployError(f"The namespace {namespace.name} is {status}{reason}.", code="namespace-not-ready")
    return final


def _wait_for_deletion(
    api: FunctionsApi, get: Callable[[], object], resource: str, limiter: AdaptiveLimiter
) -> None:
    def gone() -> bool | None:
        try:
            limiter.call(get, idempotent=True)
        except NotFoundError:
            return True
        return None

    if (
        limiter.poll(gone, timeout_seconds=_NAMESPACE_TIMEOUT_SECONDS, max_interval=_max_poll_interval(api, 2.0))
        is None
    ):
        raise DeployError(f"The {resource} still exists five minutes after its deletion.", code="still-deleting")


def _max_poll_interval(api: FunctionsApi, remote_interval: float) -> float:
    """Return the longest polling interval.

    A local platform builds in a fraction of a second, so it is polled more often.
    """
    return 0.15 if api.endpoint.is_loopback else remote_interval
