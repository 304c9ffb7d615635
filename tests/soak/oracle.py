"""Which answers to a request are right, when.

A request lasts from ``began`` to ``ended``. What is true of a function (its version, who may call it, that it is
there) is known as *spans* of time in which it may have been so: a change opens the new span before it is asked
for, and closes the old one after it was seen to be done. An answer is right if one of the states that overlap the
request gives it. Disturbances are spans too: each names the answers that it excuses.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

__all__ = ["GONE", "NO_ANSWER", "THERE", "Disturbance", "Function", "Observed", "Oracle", "Span"]

THERE: Final = "there"
GONE: Final = "gone"
NO_ANSWER: Final = 0
"""The connection was refused, or ended before an answer was complete."""

_EXCUSES: Final = {
    "instance": frozenset({NO_ANSWER, 502}),
    "zygote": frozenset({NO_ANSWER, 502}),
    "data plane": frozenset({NO_ANSWER, 502, 503}),
    "supervisor": frozenset({NO_ANSWER, 502, 503}),
    "control": frozenset[int](),
    "blank": frozenset[int](),
    "pause": frozenset[int](),
}
"""What may be answered while one of these was killed or stopped. Nobody who calls misses control, or a blank."""


@dataclass(slots=True)
class Span:
    """From ``since`` to ``until``, in seconds of ``time.monotonic``; open while ``until`` is ``None``."""

    value: object
    since: float
    until: float | None = None

    def covers(self, began: float, ended: float) -> bool:
        """Whether it was so all the time between these."""
        return self.since <= began and (self.until is None or self.until >= ended)

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether it was so at any moment between these."""
        return self.since <= ended and (self.until is None or self.until >= began)


@dataclass(slots=True)
class Disturbance:
    """Something was killed or stopped; ``until`` is when it was seen to be well again."""

    kind: str
    since: float
    until: float | None = None


@dataclass(slots=True)
class Function:
    """What is known of one function over time."""

    name: str
    id: str
    host: str
    versions: list[Span] = field(default_factory=list)
    access: list[Span] = field(default_factory=list)
    presence: list[Span] = field(default_factory=list)
    tokens: list[Span] = field(default_factory=list)

    def begin(self, what: list[Span], value: object) -> None:
        """Say that this may be so from now on, beside what was so before."""
        what.append(Span(value, time.monotonic()))

    def settle(self, what: list[Span]) -> None:
        """Say that the last one alone is so from now on."""
        now = time.monotonic()
        for span in what[:-1]:
            if span.until is None:
                span.until = now

    def give_up(self, what: list[Span]) -> None:
        """Say that the last one did not come true, and is not so from now on."""
        what[-1].until = time.monotonic()

    def seen(self, what: list[Span], began: float, ended: float) -> set[object]:
        """Return what may have been so between these moments."""
        return {span.value for span in list(what) if span.overlaps(began, ended)}


@dataclass(frozen=True, slots=True)
class Observed:
    """One request and its answer. nonce: what the handler is to say again; token: sent with it."""

    function: Function
    began: float
    ended: float
    status: int
    nonce: str
    token: Span | None
    body: dict[str, object] | None
    detail: str = ""


class Oracle:
    """Judges answers; keeps what was wrong. Used by many threads."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.counts: dict[str, int] = {}
        self.disturbances: list[Disturbance] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def disturb(self, kind: str) -> Disturbance:
        """Say that something is about to be killed or stopped."""
        disturbance = Disturbance(kind, time.monotonic())
        self.disturbances.append(disturbance)
        return disturbance

    def judge(self, seen: Observed) -> None:
        """Count the answer; keep it when it is wrong."""
        verdict = self._verdict(seen)
        with self._lock:
            self.counts[str(seen.status)] = self.counts.get(str(seen.status), 0) + 1
            if verdict:
                at = f"{seen.began - self._began:.3f}–{seen.ended - self._began:.3f}"
                self.faults.append(f"{at} {seen.function.name}: {seen.status} {seen.detail} {seen.body}: {verdict}")

    def fault(self, text: str) -> None:
        """Keep something that is wrong beside any request."""
        with self._lock:
            self.faults.append(f"{time.monotonic() - self._began:.3f} {text}")

    def _verdict(self, seen: Observed) -> str:
        function, window = seen.function, (seen.began, seen.ended)
        present = function.seen(function.presence, *window)
        access = function.seen(function.access, *window)
        match seen.status:
            case 200:
                return self._answered(seen, present, access)
            case 403:
                refused = "private" in access and not (seen.token is not None and seen.token.covers(*window))
                return "" if refused else "nobody had to be refused"
            case 404:
                return "" if GONE in present or not present else "the function was there"
            case 503 if GONE in present:
                return ""  # it was removed while the request waited
            case _:
                return "" if self._is_excused(seen) else "nothing excuses it"

    def _answered(self, seen: Observed, present: set[object], access: set[object]) -> str:
        function = seen.function
        if THERE not in present:
            return "the function was not there"
        if "public" not in access and seen.token is None:
            return "the function was private, and there was no token"
        body = seen.body or {}
        if body.get("nonce") != seen.nonce or body.get("name") != function.name:
            return f"the answer to another request than {seen.nonce} of {function.name}"
        versions = function.seen(function.versions, seen.began, seen.ended)
        return "" if body.get("version") in versions else f"only {sorted(map(str, versions))} could have answered"

    def _is_excused(self, seen: Observed) -> bool:
        return any(
            seen.status in _EXCUSES[one.kind]
            and one.since <= seen.ended
            and (one.until is None or one.until >= seen.began)
            for one in list(self.disturbances)
        )
