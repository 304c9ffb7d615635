"""Known values of the API's enumerated fields. Clients send unset fields as ``unknown_*``."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """State of a resource. No kind of resource uses every value."""

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
    """Handling of plain HTTP requests: served, or redirected to HTTPS."""

    ENABLED = "enabled"
    REDIRECTED = "redirected"


class Sandbox(StrEnum):
    """Execution environment: v1 is legacy, v2 is recommended."""

    V1 = "v1"
    V2 = "v2"


class RuntimeStatus(StrEnum):
    """Stage of a runtime's life cycle."""

    BETA = "beta"
    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    END_OF_SUPPORT = "end_of_support"
    END_OF_LIFE = "end_of_life"


def is_unset(value: str | None) -> bool:
    """Return whether an enumerated request value is unset: null, empty, or an ``unknown_*`` sentinel."""
    return value is None or value in ("", "unknown") or value.startswith("unknown_")
