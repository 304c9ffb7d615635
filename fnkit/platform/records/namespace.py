"""A namespace as the store keeps it."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.records.secrets import StoredSecret

__all__ = ["NamespaceRecord"]


class NamespaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A group of functions.

    label: the DNS label's first part, the name's slug and 8 random characters, fixed for life.
    registry_namespace_id: empty until the namespace is first ready; the endpoint follows from the label.
    created_at, updated_at: platform time, Unix nanoseconds.
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
