"""The values that the API's enumerated fields are known to take. Unset ones arrive as ``unknown_*``."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["HttpOption", "Privacy", "RuntimeStatus", "Sandbox", "Status", "is_unset"]


class Status(StrEnum):
    """A resource's state. Not every kind of resource takes every value."""

    UNKNOWN = "unknown"
    CREATED = "created"
    CREATING = "creating"
    PENDING = "pending"
    READY = "ready"
    ERROR = "error"
    DELETING = "deleting"
    LOCKED = "locked"


class Privacy(StrEnum):
    """Who may call a function."""

    PUBLIC = "public"
    PRIVATE = "private"


class HttpOption(StrEnum):
    """What plain HTTP gets: an answer, or a redirect to HTTPS."""

    ENABLED = "enabled"
    REDIRECTED = "redirected"


class Sandbox(StrEnum):
    """Execution environments: v1 legacy, v2 recommended."""

    V1 = "v1"
    V2 = "v2"


class RuntimeStatus(StrEnum):
    """Where a runtime stands in its life."""

    BETA = "beta"
    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    END_OF_SUPPORT = "end_of_support"
    END_OF_LIFE = "end_of_life"


def is_unset(value: str | None) -> bool:
    """Whether a request's enumerated value means "not given": null, empty, or the ``unknown_*`` sentinel."""
    return value is None or value in ("", "unknown") or value.startswith("unknown_")
