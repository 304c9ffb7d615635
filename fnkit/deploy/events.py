"""Progress events and results of a deploy. The library never prints; the command line renders these values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from fnkit.errors import FnkitError
from fnkit.plan.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResult:
    """The outcome for one function.

    Attributes:
        id: Its id, empty if it does not exist.
        status: The API's, ``deleted``, or ``unknown`` when its creation failed.
        domain: Its ``domain_name``.
        digest: Digest of the planned slice.
        seconds: Duration of the change.
        failure: Why the change failed, or ``None``.
        import_error: The end of the traceback if it was deployed, but its handler cannot be imported; else empty.
    """

    name: str
    action: str
    status: str
    domain: str
    digest: str
    seconds: float
    id: str = ""
    uploaded_bytes: int = 0
    failure: FnkitError | None = None
    import_error: str = ""


@dataclass(frozen=True, slots=True)
class IdleTrigger:
    """A trigger that receives nothing. ``reason`` says why, without a full stop."""

    function: str
    name: str
    reason: str

    def __str__(self) -> str:
        """Return a sentence for the user."""
        return (
            f"The trigger {self.name} of {self.function} is idle and receives nothing: {self.reason}. "
            "docs/triggers.md describes how to add a broker."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """The result of a deploy.

    Attributes:
        idle_triggers: Triggers that the API calls ``ready``, and that receive nothing.
        failures: Those that concern no single function.
    """

    plan: Plan
    namespace_id: str | None
    functions: tuple[FunctionResult, ...]
    failures: tuple[FnkitError, ...] = ()
    idle_triggers: tuple[IdleTrigger, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what works, but not as one may expect."""
        return tuple(str(one) for one in self.idle_triggers)

    @property
    def uploaded_bytes(self) -> int:
        """Total size of the uploaded archives."""
        return sum(one.uploaded_bytes for one in self.functions)

    @property
    def all_failures(self) -> tuple[FnkitError, ...]:
        """The failures of functions, then the others."""
        return tuple(one.failure for one in self.functions if one.failure is not None) + self.failures

    @property
    def failed(self) -> bool:
        """Whether any change failed."""
        return bool(self.all_failures)


@dataclass(frozen=True, slots=True)
class ApplyStarted:
    """Applying a plan starts. ``resources`` are kind and name of all that a ``ResourceFinished`` will report."""

    resources: tuple[tuple[str, str], ...]


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
