"""The result of applying a plan."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.errors import FnkitError
from fnkit.plan.changes import Plan

__all__ = ["ApplyResult", "FunctionResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResult:
    """The outcome for one function.

    Attributes:
        status: The API's, ``deleted``, or ``unknown`` when its creation failed.
        domain: Its ``domain_name``.
        digest: Digest of the planned slice.
        seconds: Duration of the change.
        failure: Why the change failed, or ``None``.
    """

    name: str
    action: str
    status: str
    domain: str
    digest: str
    seconds: float
    uploaded_bytes: int = 0
    failure: FnkitError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """The result of a deploy. ``failures`` are those that concern no single function."""

    plan: Plan
    namespace_id: str | None
    functions: tuple[FunctionResult, ...]
    failures: tuple[FnkitError, ...] = ()

    @property
    def uploaded_bytes(self) -> int:
        """Total size of the uploaded archives."""
        return sum(one.uploaded_bytes for one in self.functions)

    @property
    def failed(self) -> bool:
        """Whether any change failed."""
        return bool(self.failures) or any(one.failure for one in self.functions)
