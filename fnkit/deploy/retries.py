"""Limits and retries API requests, and polls resources until they reach a final state.

The API returns 429 for too many requests and 409 ``transient_state`` while a resource changes; users of the
Serverless Framework plugin had to deploy one function at a time because of both. The limit is halved on each 429
and grows by one after a run of successes, which adapts it to the rate that the API accepts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.limits import BUILD_MAX_SECONDS
from fnkit.contract.resources import Function, Namespace
from fnkit.errors import ApiError, ApiUnreachable, DeployError, NotFoundError

T = TypeVar("T")
_SUCCESSES_TO_GROW: Final = 8
_MAX_ATTEMPTS: Final = 12
_MAX_ATTEMPTS_WITHOUT_RESPONSE: Final = 4
_INITIAL_DELAY_SECONDS: Final = 0.25
_MAX_DELAY_SECONDS: Final = 8.0
_TOO_MANY_REQUESTS: Final = 429
_CONFLICT: Final = 409
_UNAVAILABLE: Final = (502, 503, 504)

_TRANSIENT_STATUSES: Final = frozenset({Status.PENDING, Status.CREATING})
_BUILD_TIMEOUT_SECONDS: Final = BUILD_MAX_SECONDS + 300.0  # and the start of an instance
_NAMESPACE_TIMEOUT_SECONDS: Final = 300.0
_NUMBER_WORDS: Final = {2: "two", 5: "five"}


class DeployInterrupted(DeployError):
    """The deploy was interrupted between two requests."""

    default_code = "interrupted"


class AdaptiveLimiter:
    """An adaptive limit on concurrent requests. Thread-safe; shared by all threads of a deploy."""

    def __init__(self, max_limit: int = 8) -> None:
        self._interrupted = threading.Event()
        self._max_limit = max_limit
        self._limit = max_limit
        self._in_flight = 0
        self._successes = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """The current limit of concurrent requests."""
        return self._limit

    def interrupt(self) -> None:
        """Stop the deploy: end every pause and every wait for the limit, and prevent all further requests."""
        self._interrupted.set()
        with self._changed:
            self._changed.notify_all()

    def call(self, request: Callable[[], T]) -> T:
        """Send an idempotent request within the limit; retry it after 429, 409 ``transient_state`` or no response.

        Args:
            request: Sends the request and returns the decoded response. Sending it twice must have the same effect
                as once: it is also retried when it got no response, or 502, 503 or 504.

        Raises:
            ApiError: The error of the last attempt.
            DeployInterrupted: The deploy was interrupted.
        """
        pause = _INITIAL_DELAY_SECONDS
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                with self._slot():
                    response = request()
            except ApiError as error:
                if attempt >= _max_attempts(error):
                    raise
                if error.status == _TOO_MANY_REQUESTS:
                    self._shrink()
            else:
                self._grow()
                return response
            self._pause(pause)
            pause = min(pause * 1.7, _MAX_DELAY_SECONDS)
        raise AssertionError("unreachable")

    def poll(self, check: Callable[[], T | None], *, timeout_seconds: float, max_interval: float) -> T | None:
        """Call ``check`` until it returns a value; return ``None`` after a timeout.

        Starts with pauses of 30 ms, since local builds take a fraction of a second, and increases them to
        ``max_interval``.

        Raises:
            DeployInterrupted: The deploy was interrupted.
        """
        deadline = time.monotonic() + timeout_seconds
        pause = min(0.03, max_interval)
        while True:
            response = check()
            if response is not None:
                return response
            if time.monotonic() >= deadline:
                return None
            self._pause(pause)
            pause = min(pause * 1.5, max_interval)

    def _pause(self, seconds: float) -> None:
        self._interrupted.wait(seconds)
        self._raise_if_interrupted()

    def _raise_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise DeployInterrupted("The deploy was interrupted.", hint="Run `fnkit deploy` again to complete it.")

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < self._limit or self._interrupted.is_set())
            self._raise_if_interrupted()
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _shrink(self) -> None:
        with self._changed:
            self._limit = max(1, self._limit // 2)
            self._successes = 0

    def _grow(self) -> None:
        with self._changed:
            self._successes += 1
            if self._successes >= _SUCCESSES_TO_GROW and self._limit < self._max_limit:
                self._limit += 1
                self._successes = 0
                self._changed.notify_all()


def _max_attempts(error: ApiError) -> int:
    """Return how often a request that fails with this error is sent in all; 1 if a retry would not help."""
    if error.status == _TOO_MANY_REQUESTS:
        return _MAX_ATTEMPTS
    if error.status == _CONFLICT:
        is_transient = error.body_type == "transient_state" or "transient" in error.message
        return _MAX_ATTEMPTS if is_transient else 1
    no_answer = isinstance(error, ApiUnreachable) and error.code in ("api-unreachable", "api-timeout")
    return _MAX_ATTEMPTS_WITHOUT_RESPONSE if no_answer or error.status in _UNAVAILABLE else 1


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
        DeployError: The function did not reach a final status in 45 minutes: 5 more than a build may take.
    """
    last_message: str | None = None

    def settled() -> Function | None:
        nonlocal last_message
        current = limiter.call(lambda: api.functions.get(function.id))
        if current.status not in _TRANSIENT_STATUSES:
            return current
        if current.build_message and current.build_message != last_message:
            last_message = current.build_message
            on_step(last_message)
        return None

    final = limiter.poll(settled, timeout_seconds=_BUILD_TIMEOUT_SECONDS, max_interval=_max_poll_interval(api, 5.0))
    if final is None:
        raise DeployError(
            f"{function.name} is still {function.status} after {_BUILD_TIMEOUT_SECONDS // 60:.0f} minutes.",
            code="still-pending",
        )
    return final


def wait_for_namespace(api: FunctionsApi, namespace: Namespace, limiter: AdaptiveLimiter) -> Namespace:
    """Return the namespace once it is ready.

    Raises:
        DeployError: It is in error, or did not reach a final status in five minutes.
    """

    def settled() -> Namespace | None:
        current = limiter.call(lambda: api.namespaces.get(namespace.id))
        return None if current.status in _TRANSIENT_STATUSES else current

    final: Namespace | None = namespace
    if namespace.status in _TRANSIENT_STATUSES:
        interval = _max_poll_interval(api, 2.0)
        final = limiter.poll(settled, timeout_seconds=_NAMESPACE_TIMEOUT_SECONDS, max_interval=interval)
    if final is None or final.status != Status.READY:
        status = final.status if final else namespace.status
        reason = f": {final.error_message}" if final and final.error_message else ""
        raise DeployError(f"The namespace {namespace.name} is {status}{reason}.", code="namespace-not-ready")
    return final


def wait_for_deletion(
    api: FunctionsApi, get: Callable[[], object], subject: str, limiter: AdaptiveLimiter, *, minutes: int = 5
) -> None:
    """Wait until ``get`` raises ``NotFoundError``.

    Args:
        api: The API.
        get: Requests the deleted resource.
        subject: The resource, for the error message.
        limiter: Limits concurrent requests.
        minutes: How long to wait, 2 or 5.

    Raises:
        DeployError: The resource still exists.
    """

    def gone() -> bool | None:
        try:
            limiter.call(get)
        except NotFoundError:
            return True
        return None

    if limiter.poll(gone, timeout_seconds=60 * minutes, max_interval=_max_poll_interval(api, 2.0)) is None:
        message = f"{subject} still exists {_NUMBER_WORDS[minutes]} minutes after its deletion."
        raise DeployError(message, code="still-deleting")


def _max_poll_interval(api: FunctionsApi, remote_interval: float) -> float:
    """Return the longest polling interval.

    A local platform builds in a fraction of a second, so it is polled more often.
    """
    return 0.15 if api.endpoint.is_loopback else remote_interval
