"""Progress events and results of a deploy. The library never prints; the command line renders these values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["DeployEvent", "ResourceFinished", "EventCallback", "ApplyStarted", "ResourceStep", "WaitingForLock"]


@dataclass(frozen=True, slots=True)
class ApplyStarted:
    """Applying a plan with ``total`` changes starts."""

    total: int


@dataclass(frozen=True, slots=True)
class ResourceStep:
    """A resource enters a step.

    Attributes:
        kind: ``namespace``, ``function`` or ``bundle``.
        name: Name of the resource, or the runtime for ``bundle``.
        text: For example ``uploading``, or the build message of the API.
    """

    kind: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class ResourceFinished:
    """The change of a resource ended; ``failure`` is the error message if it failed."""

    kind: str
    name: str
    action: str
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingForLock:
    """The deploy waits for another process; ``holder`` describes it."""

    holder: str


DeployEvent: TypeAlias = ApplyStarted | ResourceStep | ResourceFinished | WaitingForLock
EventCallback: TypeAlias = Callable[[DeployEvent], None]
