"""The records that the control plane stores, one class per resource, and their legal status transitions.

Records are immutable and are stored as JSON: a field name is also the key on disk. A new field needs a default, so
that older rows still decode. Times are platform time in Unix nanoseconds unless an attribute says otherwise.
"""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.records.secrets import StoredSecret

__all__ = ["Deployment", "FunctionRecord", "FunctionSettings"]


class FunctionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a function or of one of its deployments.

    Attributes:
        runtime: Name of a runtime, such as ``python313``.
        handler: Path of the handler inside the archive.
        memory: Memory limit in MB.
        cpu: CPU limit in mVCPU.
        timeout: Longest duration of a request in nanoseconds.
        min_scale: Number of instances that always run.
        max_scale: Largest number of instances.
        privacy: ``public`` or ``private``.
        http_option: ``enabled`` or ``redirected``.
        sandbox: ``v1`` or ``v2``.
        environment: The function's own variables, without those of its namespace.
        secrets: The function's own secrets, in the order in which they were added.
    """

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
    """Built code together with the settings it runs with.

    Attributes:
        generation: Counts the deployments of a function; a higher generation replaces a lower one.
        settings: A copy of the function's settings at the time of the deployment.
        code: Absolute path of the directory with the built code.
        interpreter: Absolute path of the program that runs it.
        archive: SHA-256 of the archive that ``code`` was built from.
    """

    generation: int
    settings: FunctionSettings
    code: str
    interpreter: str
    archive: str


class FunctionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A function: the settings requested by its owner and the deployment that serves requests.

    Attributes:
        id: UUID.
        region: The function's region.
        name: Unique within the namespace.
        namespace_id: The namespace of the function.
        project_id: The project of the namespace.
        organization_id: The organization of the namespace.
        host_label: First DNS label of the function's domain name.
        created_at: Creation time.
        updated_at: Time of the last change.
        settings: The settings of the next deployment.
        status: Current status.
        description: Free text.
        tags: Free text.
        private_network_id: UUID of a private network. Stored and returned, without effect.
        error_message: Why the function is in status ``error``.
        build_message: The current step of a deployment in progress.
        ready_at: Time of the first successful deployment. Later deployments do not change it.
        archive: SHA-256 of the last complete upload, which the next deployment builds.
        generation: Generation of the most recently started deployment.
        serving: The deployment that serves requests. It keeps serving while a newer one is built, and after a newer
            one failed.
        expires_at: When ``serving`` stops because a newer deployment failed, or ``None``. Scaleway's published rule
            is 24 hours.
        uid: The user that the function's instances run as if the platform runs as root, otherwise 0.
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
