"""What a deploy tells while it works. The library never prints: the command line shows these, or does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Event", "Finished", "Report", "Started", "Step", "Waiting"]


@dataclass(frozen=True, slots=True)
class Started:
    """Work on ``total`` changes begins."""

    total: int


@dataclass(frozen=True, slots=True)
class Step:
    """A resource enters a step: ``creating``, ``uploading``, or what the build says."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A resource is done; ``failure`` says why it is not as it should be."""

    kind: str
    name: str
    action: str
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing can be done until somebody else is done; ``whom`` in words."""

    whom: str


Event: TypeAlias = Started | Step | Finished | Waiting
Report: TypeAlias = Callable[[Event], None]
