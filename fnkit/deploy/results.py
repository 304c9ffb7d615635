"""What a deploy made: one value that every view of it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.errors import FnkitError
from fnkit.plan.changes import Plan

__all__ = ["Applied", "FunctionResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResult:
    """One function after the deploy.

    status: the API's, ``deleted``, or ``unknown`` when creating it failed. domain: its ``domain_name``.
    seconds: what this change took.
    failure: why it is not as the plan wanted it, or ``None``.
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
class Applied:
    """A finished deploy. ``failures`` tells what went wrong apart from single functions."""

    plan: Plan
    namespace_id: str | None
    functions: tuple[FunctionResult, ...]
    failures: tuple[FnkitError, ...] = ()

    @property
    def uploaded_bytes(self) -> int:
        """What was sent in archives."""
        return sum(one.uploaded_bytes for one in self.functions)

    @property
    def failed(self) -> bool:
        """Whether anything is not as the plan wanted it."""
        return bool(self.failures) or any(one.failure for one in self.functions)
