"""The records that the control plane stores, one class per resource, and their legal status transitions.

Records are immutable and are stored as JSON: a field name is also the key on disk. A new field needs a default, so
that older rows still decode. Times are platform time in Unix nanoseconds unless an attribute says otherwise.
"""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

import msgspec

from fnkit.contract.enums import Status
from fnkit.errors import PlatformError

__all__ = [
    "ApiKeyRecord",
    "CronRecord",
    "Deployment",
    "DomainRecord",
    "FunctionRecord",
    "FunctionSettings",
    "InvalidTransition",
    "NamespaceRecord",
    "NatsSource",
    "QueueSource",
    "SqsSource",
    "StatefulRecord",
    "StoredSecret",
    "TokenRecord",
    "TriggerRecord",
    "TriggerSource",
    "can_transition",
    "transition",
]

_AFTER_SETTLED: Final = frozenset({Status.PENDING, Status.DELETING})
_AFTER_PENDING: Final = frozenset({Status.PENDING, Status.READY, Status.ERROR, Status.DELETING})


class ApiKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An additional API key and its permissions.

    Attributes:
        access_key: The key's public name: ``SCW`` followed by 17 characters of ``A-Z0-9``.
        sha256: SHA-256 of the secret key, in hex. An unsalted fast hash is enough here because the secret is a
            random UUID, not a password that could be guessed.
        created_at: RFC 3339, platform time.
        read_only: Whether the key may only read.
        project_id: The only project the key can access, or ``None`` for all projects.
        description: Free text.
    """

    access_key: str
    sha256: str
    created_at: str
    read_only: bool = False
    project_id: str | None = None
    description: str = ""


class CronRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule on which ``args`` are sent to a function. Times are platform time in Unix nanoseconds.

    Attributes:
        id: UUID.
        region: The region of the cron and its function.
        function_id: The function to call.
        schedule: Cron expression, in UTC.
        args: The JSON body of each call.
        name: Free text.
        created_at: Creation time.
        status: Current status.
        schedule_changed_at: When ``schedule`` last changed, 0 if it never did. Runs scheduled before this time (or
            before ``created_at``) do not count as missed.
    """

    id: str
    region: str
    function_id: str
    schedule: str
    args: dict[str, object]
    name: str
    created_at: int
    status: Status = Status.PENDING
    schedule_changed_at: int = 0


class DomainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A custom hostname bound to a function.

    Attributes:
        id: UUID.
        region: The region of the domain and its function.
        function_id: The function that serves the hostname.
        hostname: Lower case, without a port.
        created_at: Platform time in Unix nanoseconds.
        status: Current status.
        routed: Whether the hostname is part of the function's route. Set right before the domain becomes ready,
            cleared when it is deleted.
        was_ready: Whether the domain was ever ready. The real API keeps showing the URL of such a domain while it
            is being deleted.
        error_message: Why the domain is in status ``error``.
    """

    id: str
    region: str
    function_id: str
    hostname: str
    created_at: int
    status: Status = Status.PENDING
    routed: bool = False
    was_ready: bool = False
    error_message: str | None = None


class StoredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of a function or namespace.

    Attributes:
        key: Name of the environment variable.
        hashed_value: argon2id hash in PHC format, which the API returns in place of the value.
        ciphertext: The value, encrypted by ``Vault`` for its owner and key.
    """

    key: str
    hashed_value: str
    ciphertext: bytes

    def __repr__(self) -> str:
        """Return a representation without hash and ciphertext."""
        return f"StoredSecret({self.key!r})"


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


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to call one private function, or all private functions of a namespace.

    The token itself is returned when it is created and is not stored.

    Attributes:
        id: UUID, which is also the ``jti`` claim of the JWT.
        region: The region of the function or namespace.
        project_id: The project of the function or namespace.
        function_id: The function, or ``None`` for a token of a namespace.
        namespace_id: The namespace, or ``None`` for a token of a function.
        created_at: Platform time in Unix nanoseconds.
        expires_at: Platform time in Unix seconds, or ``None`` for a token that does not expire.
        description: Free text.
        status: Current status.
    """

    id: str
    region: str
    project_id: str
    function_id: str | None
    namespace_id: str | None
    created_at: int
    expires_at: int | None = None
    description: str = ""
    status: Status = Status.CREATING


class QueueSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_sqs"):
    """A queue of Scaleway Messaging and Queuing.

    Attributes:
        queue: Name of the queue.
        project_id: The queue's project.
        region: The queue's region.
        credential_id: UUID of the credential that reads the queue, ``None`` until the trigger was first ready.
            Only the API shows it; the broker's actual credentials come from ``brokers.toml``.
    """

    queue: str
    project_id: str
    region: str
    credential_id: str | None = None


class NatsSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_nats"):
    """A subject of a Scaleway NATS account.

    Attributes:
        subject: The subject, possibly with wildcards.
        account_id: The account's public key.
        project_id: The account's project.
        region: The account's region.
        credential_id: As in ``QueueSource``.
    """

    subject: str
    account_id: str
    project_id: str
    region: str
    credential_id: str | None = None


class SqsSource(msgspec.Struct, frozen=True, kw_only=True, tag="sqs"):
    """A queue of any SQS-compatible service.

    Attributes:
        endpoint: URL of the service.
        queue_url: URL of the queue.
        access_key: Access key that reads the queue.
        ciphertext: The secret key, encrypted by ``Vault`` for the trigger.
    """

    endpoint: str
    queue_url: str
    access_key: str
    ciphertext: bytes

    def __repr__(self) -> str:
        """Return a representation without credentials."""
        return f"SqsSource({self.queue_url!r})"


TriggerSource: TypeAlias = QueueSource | NatsSource | SqsSource


class TriggerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message source whose messages are delivered to a function.

    Attributes:
        id: UUID.
        region: The function's region.
        function_id: The function to call.
        namespace_id: The function's namespace.
        project_id: The function's project.
        name: 2 to 100 letters, digits and dashes.
        description: Free text.
        source: Where the messages come from.
        created_at: Platform time in Unix nanoseconds.
        status: Current status.
        error_message: Why the trigger is in status ``error``: the broker's message.
    """

    id: str
    region: str
    function_id: str
    namespace_id: str
    project_id: str
    name: str
    description: str
    source: TriggerSource
    created_at: int
    status: Status = Status.CREATING
    error_message: str | None = None


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


StatefulRecord = TypeVar(
    "StatefulRecord", NamespaceRecord, FunctionRecord, CronRecord, DomainRecord, TokenRecord, TriggerRecord
)
_ALLOWED_TRANSITIONS: Final[dict[type, dict[Status, frozenset[Status]]]] = {
    NamespaceRecord: {
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    FunctionRecord: {
        Status.CREATED: _AFTER_SETTLED,
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    CronRecord: {
        Status.PENDING: _AFTER_PENDING,
        Status.READY: _AFTER_SETTLED,
        Status.ERROR: _AFTER_SETTLED,
        Status.DELETING: frozenset(),
    },
    DomainRecord: {
        Status.PENDING: frozenset({Status.READY, Status.ERROR, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
        Status.ERROR: frozenset({Status.DELETING}),
        Status.DELETING: frozenset(),
    },
    TokenRecord: {
        Status.CREATING: frozenset({Status.READY, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
        Status.DELETING: frozenset(),
    },
    TriggerRecord: {
        Status.CREATING: _AFTER_PENDING,
        Status.PENDING: _AFTER_PENDING,
        Status.READY: frozenset({Status.PENDING, Status.ERROR, Status.DELETING}),
        Status.ERROR: frozenset({Status.PENDING, Status.READY, Status.DELETING}),
        Status.DELETING: frozenset(),
    },
}


class InvalidTransition(PlatformError):
    """A status change that the record's current status does not allow: a bug in the platform, not in a request."""

    default_code = "impossible-transition"


def can_transition(record: StatefulRecord, status: Status) -> bool:
    """Return whether the record may change to ``status``."""
    return status in _ALLOWED_TRANSITIONS[type(record)].get(record.status, frozenset())


def transition(record: StatefulRecord, status: Status, **changes: object) -> StatefulRecord:
    """Return a copy of the record with the new status.

    Args:
        record: The current record.
        status: The new status.
        **changes: Other fields to replace, by name.

    Raises:
        InvalidTransition: The current status does not allow the new one.
    """
    if not can_transition(record, status):
        raise InvalidTransition(
            f"{type(record).__name__} {record.id} cannot change from {record.status} to {status}."
        )
    return msgspec.structs.replace(record, status=status, **changes)
