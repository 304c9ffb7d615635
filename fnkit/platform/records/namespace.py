"""The stored form of a namespace."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.records.secrets import StoredSecret

__all__ = ["NamespaceRecord"]


class NamespaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A group of functions that share variables and secrets.

    Attributes:
        id: UUID.
        region: The namespace's region.
        name: Unique within project and region.
        project_id: The project of the namespace.
        organization_id: The organization of the project.
        label: First part of the DNS label of its functions: a slug of the name and 8 random characters. Never
            changes, so that domain names stay valid.
        created_at: Creation time.
        updated_at: Time of the last change.
        status: Current status.
        environment: Variables of all functions in the namespace.
        secrets: Secrets of all functions in the namespace.
        description: Free text.
        tags: Free text.
        vpc_integration_activated: Stored and returned, without effect.
        registry_namespace_id: Empty until the namespace is first ready, as the real API was recorded to do. The
            registry endpoint is derived from ``label``.
        error_message: Why the namespace is in status ``error``.
    """

    id: str
    region: str
    name: str
    project_id: str
    organization_id: str
    label: str
    created_at: int
    updated_at: int
    status: Status = Status.PENDING
    environment: dict[str, str] = {}
    secrets: tuple[StoredSecret, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    vpc_integration_activated: bool = False
    registry_namespace_id: str = ""
    error_message: str | None = None
