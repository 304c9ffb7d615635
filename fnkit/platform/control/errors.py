"""Error responses of the API, with the real API's messages where they were recorded (docs/api-behaviour.md)."""

from __future__ import annotations

from typing import TypeAlias

from fnkit.contract.text import escape_control_characters
from fnkit.errors import PlatformError

Json: TypeAlias = str | int | list["Json"] | dict[str, "Json"]


class ControlError(PlatformError):
    """A request that ends in an error response.

    Args:
        status: HTTP status code.
        message: The ``message`` of the body.
        **fields: Further fields of the body.

    Attributes:
        status: HTTP status code.
        body: The complete JSON body.
    """

    default_code = "refused"

    def __init__(self, status: int, message: str, **fields: Json) -> None:
        message = escape_control_characters(message)  # it may quote the request
        super().__init__(message)
        self.status = status
        self.body: dict[str, Json] = {"message": message, **fields}


def not_found(kind: str) -> ControlError:
    """Return a 404, recorded as ``Namespace was not found``."""
    return ControlError(404, f"{kind} was not found")


def already_exists(kind: str) -> ControlError:
    """Return a 409, recorded as ``Namespace already exist`` and used for other kinds in the same form."""
    return ControlError(409, f"{kind} already exist")


def invalid(field: str, reason: str) -> ControlError:
    """Return a 400 that starts with the field's name, such as ``min_scale must be …``."""
    return ControlError(400, f"{field} {reason}")


def required(field: str) -> ControlError:
    """Return a 400 for a missing field."""
    return ControlError(400, f"{field} is required")


def transient_state(kind: str, record_id: str, state: str) -> ControlError:
    """Return a 409 for a resource whose status does not allow the operation, in the form Scaleway's SDKs parse."""
    return ControlError(
        409,
        "resource is in a transient state",
        type="transient_state",
        resource=kind,
        resource_id=record_id,
        current_state=state,
    )


def quota_exceeded(resource: str, quota: int, current: int) -> ControlError:
    """Return a 403 in the form recorded from other Scaleway APIs."""
    return ControlError(
        403,
        "quota(s) exceeded for this resource",
        type="quotas_exceeded",
        details=[{"resource": resource, "quota": quota, "current": current}],
    )


def disk_full() -> ControlError:
    """Return a 507 for a write that a full disk prevented."""
    return ControlError(507, "the platform's disk is full; nothing was changed")


def permissions_denied(action: str, resource: str) -> ControlError:
    """Return a 403 in the form recorded from other Scaleway APIs.

    Args:
        action: ``read`` or ``write``.
        resource: The kind of resource, as ``resource_name`` returns it.
    """
    return ControlError(
        403,
        "insufficient permissions",
        type="permissions_denied",
        details=[{"action": action, "resource": resource}],
    )


def unauthenticated() -> ControlError:
    """Return a 401 in the form recorded from other Scaleway APIs."""
    return ControlError(
        401, "authentication is denied", method="api_key", reason="not_found", type="denied_authentication"
    )
