"""What the API refuses, in the real API's words where they were recorded (``docs/api-behaviour.md``)."""

from __future__ import annotations

from typing import TypeAlias

from fnkit.errors import PlatformError

__all__ = [
    "Refusal",
    "already_exists",
    "invalid",
    "not_found",
    "permissions_denied",
    "quota_exceeded",
    "required",
    "transient_state",
    "unauthenticated",
]

Json: TypeAlias = str | int | list["Json"] | dict[str, "Json"]


class Refusal(PlatformError):
    """A request that is answered with an error: ``status`` and the whole JSON body."""

    default_code = "refused"

    def __init__(self, status: int, message: str, **more: Json) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Json] = {"message": message, **more}


def not_found(kind: str) -> Refusal:
    """404, recorded: ``Namespace was not found``."""
    return Refusal(404, f"{kind} was not found")


def already_exists(kind: str) -> Refusal:
    """409, recorded for namespaces: ``Namespace already exist``."""
    return Refusal(409, f"{kind} already exist")


def invalid(field: str, reason: str) -> Refusal:
    """400 that names the field: ``min_scale must be …``."""
    return Refusal(400, f"{field} {reason}")


def required(field: str) -> Refusal:
    """400 for a field that must be given."""
    return Refusal(400, f"{field} is required")


def transient_state(kind: str, record_id: str, state: str) -> Refusal:
    """409: the resource is on its way elsewhere (the form that Scaleway's SDKs know)."""
    return Refusal(
        409,
        "resource is in a transient state",
        type="transient_state",
        resource=kind,
        resource_id=record_id,
        current_state=state,
    )


def quota_exceeded(resource: str, quota: int, current: int) -> Refusal:
    """403, recorded for the gateway's other APIs."""
    return Refusal(
        403,
        "quota(s) exceeded for this resource",
        type="quotas_exceeded",
        details=[{"resource": resource, "quota": quota, "current": current}],
    )


def permissions_denied(action: str, resource: str) -> Refusal:
    """403, recorded for the gateway's other APIs; ``action`` is ``read`` or ``write``."""
    return Refusal(
        403,
        "insufficient permissions",
        type="permissions_denied",
        details=[{"action": action, "resource": resource}],
    )


def unauthenticated() -> Refusal:
    """401, recorded for the gateway's other APIs."""
    return Refusal(
        401, "authentication is denied", method="api_key", reason="not_found", type="denied_authentication"
    )
