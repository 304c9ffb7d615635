"""A function as the store keeps it: what was asked for, and what serves."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.records.secrets import StoredSecret

__all__ = ["Deployment", "FunctionRecord", "FunctionSettings"]


class FunctionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment is made from besides its code. Memory in MB, CPU in mVCPU, timeout in nanoseconds."""

    runtime: str
    handler: str
    memory: int
    cpu: int
    timeout: int
    min_scale: int
    max_scale: int
    privacy: str
    http_option: str
    sandbox: str
    environment: dict[str, str] = {}
    secrets: tuple[StoredSecret, ...] = ()


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Settings and built code that serve together.

    generation: which of the function's deployments it is. code: absolute folder. interpreter: absolute program.
    archive: sha256 of the archive that ``code`` was built from.
    """

    generation: int
    settings: FunctionSettings
    code: str
    interpreter: str
    archive: str


class FunctionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One function.

    host_label: the first DNS label of its domain name, without the region's part.
    archive: sha256 of the last complete upload, what the next deploy builds; size in bytes.
    generation: the newest deployment that was begun. serving: the newest one that runs, also while a newer one
    is built or after that failed. uid: the user its instances run as where the platform is root, else 0.
    expires_at: when a deployment that outlived a failed one stops serving (24 h, published rule), or ``None``.
    Times are platform time in Unix nanoseconds.
    """

    id: str
    region: str
    name: str
    namespace_id: str
    project_id: str
    organization_id: str
    host_label: str
    created_at: int
    updated_at: int
    settings: FunctionSettings
    status: Status = Status.CREATED
    description: str = ""
    tags: tuple[str, ...] = ()
    private_network_id: str | None = None
    error_message: str | None = None
    build_message: str | None = None
    ready_at: int | None = None
    archive: str | None = None
    generation: int = 0
    serving: Deployment | None = None
    expires_at: int | None = None
    uid: int = 0
