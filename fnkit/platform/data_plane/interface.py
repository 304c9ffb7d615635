"""The interface of an engine, as the gateway and the data plane use it.

``LocalEngine`` runs instances as processes on this machine. Another engine may place them on a cluster, so nothing
here refers to processes, paths or users of a machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from fnkit.platform.data_plane.body_buffer import BodyBuffer
from fnkit.platform.data_plane.counters import CounterRegistry
from fnkit.platform.model.metrics import EngineMetricsSnapshot
from fnkit.platform.model.routing import Route

ResponseHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]


class FailureKind(Enum):
    """Why a request got no response."""

    UNKNOWN = "unknown"  # no such function
    QUEUE_FULL = "queue-full"
    TIMEOUT = "timeout"
    DIED = "died"  # the instance ended, or its response was not valid
    NOT_STARTED = "not-started"
    STOPPING = "stopping"  # the function was removed, or the data plane is shutting down


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """A request that got no response. ``message`` is a sentence for the client."""

    kind: FailureKind
    message: str


class ResponseHandler(Protocol):
    """Receives the response to a request. Called from the event loop, never from within ``Engine.acquire``.

    Exceptions are ``on_assigned`` and ``on_failure``, which ``acquire`` may call before it returns.
    """

    def on_assigned(self, request: PendingRequest) -> None:
        """An instance is assigned to this request alone: send it now."""

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """The status line and the headers arrived."""

    def on_response_data(self, data: bytes) -> None:
        """A part of the body arrived."""

    def on_response_end(self) -> None:
        """The response is complete."""

    def on_failure(self, failure: RequestFailure) -> None:
        """There is no response, or its rest is missing."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The start of an instance until its handler was imported, in seconds of ``time.monotonic``."""

    started_at: float
    ended_at: float


class PendingRequest(Protocol):
    """A request on its way to an instance and back."""

    @property
    def instance_name(self) -> str:
        """The name of its instance; empty until one is assigned."""

    @property
    def was_queued(self) -> bool:
        """Whether no idle instance was available."""

    @property
    def cold_start(self) -> ColdStart | None:
        """The start that it waited for; ``None`` if its instance existed before."""

    def send(self, document: bytes | BodyBuffer) -> None:
        """Send the request once: event and context as JSON."""

    def pause(self) -> None:
        """Pause reading the response, because the client is slower than the instance."""

    def resume(self) -> None:
        """Resume reading."""


@dataclass(frozen=True, slots=True)
class DeployResult:
    """The result of a deployment: it serves requests, or ``failure`` states why not.

    Attributes:
        import_error: The end of the traceback if its handler could not be imported: it serves, with errors.
    """

    route: Route
    failure: str | None = None
    import_error: str = ""


class Engine(Protocol):
    """Runs deployments of functions."""

    @property
    def counters(self) -> CounterRegistry:
        """The counters of each function. The gateway adds requests to them."""

    @property
    def function_ids(self) -> frozenset[str]:
        """The functions that are served."""

    @property
    def min_scale_reached(self) -> bool:
        """Whether every deployment has its ``min_scale`` instances, or has tried and failed."""

    def route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that serves requests."""

    def pending_route(self, function_id: str) -> Route | None:
        """Return the deployment of a function that is being started."""

    def deploy(self, route: Route, on_done: Callable[[DeployResult], None]) -> None:
        """Start one instance and switch to this deployment when it is ready.

        A deployment whose instances can serve the new one, because only names, scale or privacy changed, is updated
        without a start.

        Args:
            route: The deployment.
            on_done: Receives the result. Not called if a newer deployment replaces this one before.
        """

    def resume(self, route: Route) -> None:
        """Serve a deployment that was accepted before a restart, without starting an instance first.

        It adopts the instances that an earlier process has started, if they outlive their process.
        """

    def discard_leftovers(self) -> None:
        """End the instances of an earlier process that ``resume`` has not adopted."""

    def prestart(self, routes: Iterable[Route]) -> None:
        """Prepare for the first instances of these deployments."""

    def prestart_interpreter(self, language: str, interpreter: str, memory: int) -> None:
        """Prepare for instances of a deployment in progress: see ``PrestartInterpreter``."""

    def remove(self, function_id: str) -> None:
        """Stop serving this function. Its instances end when they have completed their requests."""

    def acquire(
        self, function_id: str, request_id: str, path: str, handler: ResponseHandler
    ) -> PendingRequest | None:
        """Request an instance, first in, first out. Return ``None`` if ``on_failure`` was already called.

        Args:
            function_id: The function.
            request_id: The id of the request, for the log.
            path: The decoded path of the request, for the log.
            handler: Receives the response.
        """

    def log_response(self, function_id: str, instance: str, request_id: str, message: str) -> None:
        """Append a line about a response to the log of its function, if that is still served."""

    def cancel(self, request: PendingRequest) -> None:
        """Cancel a request whose client is gone.

        Its response is discarded. The instance becomes idle when it finishes.
        """

    def sweep(self) -> None:
        """End instances that were idle for too long. Also called when the virtual clock was moved."""

    def collect_metrics(self) -> EngineMetricsSnapshot:
        """Return a snapshot of all metrics."""

    async def drain(self, seconds: float) -> None:
        """Wait until no request is left, then fail those that remain.

        Args:
            seconds: How long to wait at most.
        """

    def close(self) -> None:
        """End every instance now."""

    async def wait_closed(self) -> None:
        """Wait until nothing is left of the instances, after ``close``. It may take a few seconds."""
