"""What an engine is to the gateway and to the data plane: five verbs, and who hears the answer.

``LocalEngine`` runs instances on this machine. Another engine (one that puts instances on a cluster) stands
behind the same verbs; nothing here speaks of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fnkit.platform.engine.answers import AnswerHeaders
from fnkit.platform.engine.meters import Meters
from fnkit.platform.measurements import EngineMeasurements
from fnkit.platform.routing import Route

__all__ = ["Call", "ColdStart", "Engine", "Failure", "FailureKind", "Listener", "Observation", "Outcome"]


class FailureKind(Enum):
    """Why there is no answer."""

    UNKNOWN = "unknown"  # no such function
    QUEUE_FULL = "queue-full"
    TIMEOUT = "timeout"
    DIED = "died"  # the instance ended, or answered with something that is no HTTP
    NOT_STARTED = "not-started"
    STOPPING = "stopping"  # the function was removed, or the data plane goes down


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer. ``message`` is a sentence for the client."""

    kind: FailureKind
    message: str


class Listener(Protocol):
    """Whoever waits for an answer. Called from the event loop, never from within ``acquire``'s caller's frame
    except for ``granted`` and ``failed``, which may come at once.
    """  # noqa: D205  (the sentence is one thought)

    def granted(self, call: Call) -> None:
        """An instance is this call's alone: send the request now."""

    def answer_started(self, status: int, headers: AnswerHeaders) -> None:
        """The status line and headers came."""

    def answer_data(self, data: bytes) -> None:
        """A piece of the body came."""

    def answer_ended(self) -> None:
        """The answer is complete."""

    def failed(self, failure: Failure) -> None:
        """There will be no answer, or not the rest of it."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The start of an instance, in seconds of ``time.monotonic``: from its first step to its imported handler."""

    began: float
    ended: float


class Call(Protocol):
    """One request on its way."""

    @property
    def instance(self) -> str:
        """The instance that serves it, by name; ``""`` before there is one."""

    @property
    def has_waited(self) -> bool:
        """Whether it found no idle instance."""

    @property
    def cold_start(self) -> ColdStart | None:
        """The start that this request waited for; ``None`` where its instance was there before."""

    def send(self, document: bytes) -> None:
        """Send the request, once: event and context as JSON."""

    def pause(self) -> None:
        """Stop reading the answer: the client is slower than the instance."""

    def resume(self) -> None:
        """Read on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a deployment: it serves, or ``failure`` says why not."""

    route: Route
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One function's instances, now."""

    function_id: str
    generation: int
    idle: int
    busy: int
    starting: int
    waiting: int


class Engine(Protocol):
    """Runs deployments. ``meters`` hold what is counted of each function; whoever asks adds the requests."""

    @property
    def meters(self) -> Meters:
        """See above."""

    def deploy(self, route: Route, settled: Callable[[Outcome], None]) -> None:
        """Start one instance; when it runs, switch to this deployment and say so through ``settled``.

        A deployment that a newer one overtakes before it is settled is given up without a word.
        """

    def remove(self, function_id: str) -> None:
        """Serve this function no more; its instances end when they have answered what they hold."""

    def acquire(self, function_id: str, request_id: str, listener: Listener) -> Call | None:
        """Ask for an instance, in turn. ``None`` when the listener was already told that there is none."""

    def release(self, call: Call) -> None:
        """Nobody waits for this call any more. The instance answers into the void and is free again."""

    def measure(self) -> EngineMeasurements:
        """Return what was counted, for whoever watches."""

    def observe(self) -> Iterable[Observation]:
        """Return every function's instances."""
