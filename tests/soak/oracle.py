"""Decides which responses are correct at a given time.

The state of a function (its version, its privacy, whether it exists) is recorded as intervals in which it may have
had a value: a change opens the new interval before it is requested, and closes the earlier ones after it has been
observed. A response is correct if one of the states during the request allows it. Disturbances are intervals too:
each kind explains certain failures.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "ABSENT",
    "NO_RESPONSE",
    "PRESENT",
    "Disturbance",
    "FunctionHistory",
    "Interval",
    "ObservedResponse",
    "Oracle",
]

PRESENT: Final = "there"
ABSENT: Final = "gone"
NO_RESPONSE: Final = 0
"""The connection was refused, or closed before the response was complete."""

_ACCEPTED_STATUSES: Final = {
    "instance": frozenset({NO_RESPONSE, 502}),
    "zygote": frozenset({NO_RESPONSE, 502}),
    "data plane": frozenset({NO_RESPONSE, 502, 503}),
    "supervisor": frozenset({NO_RESPONSE, 502, 503}),
    "control": frozenset[int](),
    "pre-warmed worker": frozenset[int](),
    "pause": frozenset[int](),
}
"""The failures that are accepted after a kill or a pause, by its kind."""


@dataclass(slots=True)
class Interval:
    """From ``start`` to ``end``, in seconds of ``time.monotonic``; open while ``end`` is ``None``."""

    value: object
    start: float
    end: float | None = None

    def covers(self, began: float, ended: float) -> bool:
        """Return whether the interval includes the whole period."""
        return self.start <= began and (self.end is None or self.end >= ended)

    def overlaps(self, began: float, ended: float) -> bool:
        """Return whether the interval includes a part of the period."""
        return self.start <= ended and (self.end is None or self.end >= began)


@dataclass(slots=True)
class Disturbance:
    """A process was killed or paused at ``start``; ``end`` is when the platform had recovered."""

    kind: str
    start: float
    end: float | None = None


@dataclass(slots=True)
class FunctionHistory:
    """The possible states of a function over time."""

    name: str
    id: str
    host: str
    versions: list[Interval] = field(default_factory=list)
    access: list[Interval] = field(default_factory=list)
    presence: list[Interval] = field(default_factory=list)
    tokens: list[Interval] = field(default_factory=list)

    def open(self, intervals: list[Interval], value: object) -> None:
        """Add a value that is possible from now on, beside the earlier ones."""
        intervals.append(Interval(value, time.monotonic()))

    def close_earlier(self, intervals: list[Interval]) -> None:
        """Record that only the last value is possible from now on."""
        now = time.monotonic()
        for interval in intervals[:-1]:
            if interval.end is None:
                interval.end = now

    def values_between(self, intervals: list[Interval], began: float, ended: float) -> set[object]:
        """Return the values that were possible in the period."""
        return {interval.value for interval in list(intervals) if interval.overlaps(began, ended)}


@dataclass(frozen=True, slots=True)
class ObservedResponse:
    """A request and its response.

    Attributes:
        function: The called function.
        began: When the request was sent.
        ended: When the response was complete.
        status: The response's status, or ``NO_RESPONSE``.
        nonce: The value that the handler must return.
        token: The token that was sent.
        body: The response's JSON object.
        detail: The client's error, or a body that is no JSON object.
    """

    function: FunctionHistory
    began: float
    ended: float
    status: int
    nonce: str
    token: Interval | None
    body: dict[str, object] | None
    detail: str = ""


class Oracle:
    """Checks responses and collects faults. Thread-safe."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.counts: dict[str, int] = {}
        self.disturbances: list[Disturbance] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def begin_disturbance(self, kind: str) -> Disturbance:
        """Record that a process is about to be killed or paused."""
        disturbance = Disturbance(kind, time.monotonic())
        self.disturbances.append(disturbance)
        return disturbance

    def check(self, response: ObservedResponse) -> None:
        """Count a response, and add a fault if it is wrong."""
        fault = self._fault_of(response)
        with self._lock:
            self.counts[str(response.status)] = self.counts.get(str(response.status), 0) + 1
            if fault:
                at = f"{response.began - self._began:.3f}–{response.ended - self._began:.3f}"
                self.faults.append(
                    f"{at} {response.function.name}: {response.status} {response.detail} {response.body}: {fault}"
                )

    def add_fault(self, text: str) -> None:
        """Add a fault that concerns no request."""
        with self._lock:
            self.faults.append(f"{time.monotonic() - self._began:.3f} {text}")

    def _fault_of(self, response: ObservedResponse) -> str:
        function, window = response.function, (response.began, response.ended)
        present = function.values_between(function.presence, *window)
        access = function.values_between(function.access, *window)
        match response.status:
            case 200:
                return self._fault_of_success(response, present, access)
            case 403:
                refused = "private" in access and not (
                    response.token is not None and response.token.covers(*window)
                )
                return "" if refused else "access should have been granted"
            case 404:
                return "" if ABSENT in present or not present else "the function existed"
            case 503 if ABSENT in present:
                return ""  # the function was deleted while the request was queued
            case _:
                return "" if self._is_explained(response) else "no disturbance explains it"

    def _fault_of_success(self, response: ObservedResponse, present: set[object], access: set[object]) -> str:
        function = response.function
        if PRESENT not in present:
            return "the function did not exist"
        if "public" not in access and response.token is None:
            return "the function was private, and no token was sent"
        body = response.body or {}
        if body.get("nonce") != response.nonce or body.get("name") != function.name:
            return f"not the response to request {response.nonce} of {function.name}"
        versions = function.values_between(function.versions, response.began, response.ended)
        return (
            ""
            if body.get("version") in versions
            else f"only the versions {sorted(map(str, versions))} were possible"
        )

    def _is_explained(self, response: ObservedResponse) -> bool:
        return any(
            response.status in _ACCEPTED_STATUSES[one.kind]
            and one.start <= response.ended
            and (one.end is None or one.end >= response.began)
            for one in list(self.disturbances)
        )
