"""The request and the result of an invocation, whether the handler runs here or is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.contract.invocation.response import MappedResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRequest:
    """A request to a function.

    Args:
        method: HTTP method in upper case.
        target: Path with query string, starting with ``/``.
        headers: Name and value of each header, in order.
        body: Content of the request.
        event: Fields that are merged into the event of a local invocation, such as ``requestContext``.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    event: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    """The result of an invocation.

    Args:
        response: The response that a client receives.
        duration_ms: Milliseconds from sending the request to the end of the response.
        logs: The lines that the handler printed; empty if a platform keeps them.
        memory_bytes: The most memory that a local handler used; ``None`` if it is not known.
    """

    response: MappedResponse
    duration_ms: float
    logs: tuple[str, ...]
    memory_bytes: int | None = None
