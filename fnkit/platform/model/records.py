"""The records that the control plane stores, one class per resource, and their legal status transitions.

Records are immutable and are stored as JSON: a field name is also the key on disk. A new field needs a default, so
that older rows still decode. Times are platform time in Unix nanoseconds unless an attribute says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, TypeAlias, TypedDict, TypeVar, Unpack

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.text import escape_control_characters
from fnkit.errors import PlatformError

Record = TypeVar("Record", bound="ResourceRecord")
StatusTransitions: TypeAlias = Mapping[Status, frozenset[Status]]

_NANOSECONDS_PER_SECOND: Final = 10**9
_AFTER_SETTLED: Final = frozenset({Status.PENDING, Status.DELETING})
_AFTER_PENDING: Final = frozenset({Status.PENDING, Status.READY, Status.ERROR, Status.DELETING})
_PENDING_TRANSITIONS: Final[StatusTransitions] = {
    Status.PENDING: _AFTER_PENDING,
    Status.READY: _AFTER_SETTLED,
    Status.ERROR: _AFTER_SETTLED,
}
"""Of kinds whose changes are applied in the background."""


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


class ResourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of every resource's record.

    Attributes:
        transitions: Status → the statuses that may follow it. None may follow a status that is not listed.
        id: UUID.
        region: The region of the resource.
        project_id: The project of the resource, which decides which API keys have access to it.
        created_at: Creation time.
        status: Current status. Each kind has an initial one of its own.
    """

    transitions: ClassVar[StatusTransitions]

    id: str
    region: str
    project_id: str
    created_at: int
    status: Status


class CronRecord(ResourceRecord, frozen=True, kw_only=True):
    """A schedule on which ``args`` are sent to a function.

    Attributes:
        function_id: The function to call.
        schedule: Cron expression, in UTC.
        args: The JSON body of each call.
        name: Free text; ``cron-<id>`` if its owner gave none.
        schedule_changed_at: When ``schedule`` last changed, 0 if it never did. Runs scheduled before this time (or
            before ``created_at``) do not count as missed.
    """

    transitions: ClassVar[StatusTransitions] = _PENDING_TRANSITIONS

    function_id: str
    schedule: str
    args: dict[str, object]
    name: str
    status: Status = Status.PENDING
    schedule_changed_at: int = 0


class DomainRecord(ResourceRecord, frozen=True, kw_only=True):
    """A custom hostname bound to a function.

    Attributes:
        function_id: The function that serves the hostname.
        hostname: Lower case, without a port.
        routed: Whether the hostname is part of the function's route. Set right before the domain becomes ready,
            cleared when it is deleted.
        was_ready: Whether the domain was ever ready. The real API keeps showing the URL of such a domain while it
            is being deleted.
        error_message: Why the domain is in status ``error``.
    """

    transitions: ClassVar[StatusTransitions] = {
        Status.PENDING: frozenset({Status.READY, Status.ERROR, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
        Status.ERROR: frozenset({Status.DELETING}),
    }

    function_id: str
    hostname: str
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


class NamespaceRecord(ResourceRecord, frozen=True, kw_only=True):
    """A group of functions that share variables and secrets.

    Attributes:
        name: Unique within project and region.
        organization_id: The organization of the project.
        label: First part of the DNS label of its functions: a slug of the name and 8 random characters. Never
            changes, so that domain names stay valid.
        updated_at: Time of the last change.
        environment: Variables of all functions in the namespace.
        secrets: Secrets of all functions in the namespace.
        description: Free text.
        tags: Free text.
        vpc_integration_activated: Stored and returned, without effect.
        registry_namespace_id: Empty until the namespace is first ready, as the real API was recorded to do. The
            registry endpoint is derived from ``label``.
        error_message: Why the namespace is in status ``error``.
    """

    transitions: ClassVar[StatusTransitions] = _PENDING_TRANSITIONS

    name: str
    organization_id: str
    label: str
    updated_at: int
    status: Status = Status.PENDING
    environment: dict[str, str] = {}
    secrets: tuple[StoredSecret, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    vpc_integration_activated: bool = False
    registry_namespace_id: str = ""
    error_message: str | None = None


class TokenRecord(ResourceRecord, frozen=True, kw_only=True):
    """Permission to call one private function, or all private functions of a namespace.

    The token itself is returned when it is created and is not stored.

    Attributes:
        id: UUID, which is also the ``jti`` claim of the JWT.
        function_id: The function, or ``None`` for a token of a namespace.
        namespace_id: The namespace, or ``None`` for a token of a function.
        expires_at: Platform time in Unix seconds, or ``None`` for a token that does not expire.
        description: Free text.
    """

    transitions: ClassVar[StatusTransitions] = {
        Status.CREATING: frozenset({Status.READY, Status.DELETING}),
        Status.READY: frozenset({Status.DELETING}),
    }

    function_id: str | None
    namespace_id: str | None
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


class TriggerRecord(ResourceRecord, frozen=True, kw_only=True):
    """A message source whose messages are delivered to a function.

    Attributes:
        function_id: The function to call.
        namespace_id: The function's namespace.
        name: 1 to 50 characters.
        description: Free text.
        source: Where the messages come from.
        error_message: Why the trigger is in status ``error``: the broker's message.
    """

    transitions: ClassVar[StatusTransitions] = {
        Status.CREATING: _AFTER_PENDING,
        Status.PENDING: _AFTER_PENDING,
        Status.READY: frozenset({Status.PENDING, Status.ERROR, Status.DELETING}),
        Status.ERROR: frozenset({Status.PENDING, Status.READY, Status.DELETING}),
    }

    function_id: str
    namespace_id: str
    name: str
    description: str
    source: TriggerSource
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

    @property
    def timeout_seconds(self) -> float:
        """The longest duration of a request in seconds."""
        return self.timeout / _NANOSECONDS_PER_SECOND


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Built code together with the settings it runs with.

    Attributes:
        generation: Counts the deployments of a function; a higher generation replaces a lower one.
        settings: A copy of the function's settings at the time of the deployment.
        code: Absolute path of the directory with the built code.
        interpreter: Absolute path of the program that runs it.
        archive: SHA-256 of the archive that ``code`` was built from.
            Empty if files of it were edited: the code is then in no archive.
        dependency_key: Deployments of one function with the same key have the same dependencies; empty if unknown.
        edited: Paths of the files that instances replace in ``code``, sorted.
        edits: Absolute path of the directory that has these files, without those that are removed.
        import_error: The end of the traceback if its first instance could not import the handler, else empty.
    """

    generation: int
    settings: FunctionSettings
    code: str
    interpreter: str
    archive: str
    dependency_key: str = ""
    edited: tuple[str, ...] = ()
    edits: str = ""
    import_error: str = ""


class FunctionRecord(ResourceRecord, frozen=True, kw_only=True):
    """A function: the settings requested by its owner and the deployment that serves requests.

    Attributes:
        name: Unique within the namespace.
        namespace_id: The namespace of the function.
        organization_id: The organization of the namespace.
        host_label: First DNS label of the function's domain name.
        updated_at: Time of the last change.
        settings: The settings of the next deployment.
        description: Free text.
        tags: Free text.
        private_network_id: UUID of a private network. Stored, returned, and passed on to the engine.
        error_message: Why the function is in status ``error``.
        build_message: The current step of a deployment in progress.
        ready_at: Time of the first successful deployment. Later deployments do not change it.
        archive: SHA-256 of the last complete upload, which the next deployment builds; ``None`` without one, and if
            files of the serving deployment were edited since.
        generation: Generation of the most recently started deployment.
        serving: The deployment that serves requests. It keeps serving while a newer one is built, and after a newer
            one failed.
        expires_at: When ``serving`` stops because a newer deployment failed, or ``None``. Scaleway's published rule
            is 24 hours.
        uid: The user that the function's instances run as if the platform runs as root, otherwise 0.
    """

    transitions: ClassVar[StatusTransitions] = {Status.CREATED: _AFTER_SETTLED, **_PENDING_TRANSITIONS}

    name: str
    namespace_id: str
    organization_id: str
    host_label: str
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


class InvalidTransition(PlatformError):
    """A status change that the record's current status does not allow: a bug in the platform, not in a request."""

    default_code = "impossible-transition"


class RecordChanges(TypedDict, total=False):
    """The fields that change together with a status, of all kinds of records."""

    archive: str | None
    args: dict[str, object]
    build_message: str | None
    error_message: str | None
    expires_at: int | None
    function_id: str
    generation: int
    name: str
    project_id: str
    ready_at: int | None
    registry_namespace_id: str
    routed: bool
    schedule: str
    schedule_changed_at: int
    serving: Deployment | None
    source: TriggerSource
    tags: tuple[str, ...]
    updated_at: int
    was_ready: bool


def transition(record: Record, status: Status, **changes: Unpack[RecordChanges]) -> Record:
    """Return a copy of the record with the new status.

    Args:
        record: The current record.
        status: The new status.
        **changes: Other fields to replace, by name.

    Raises:
        InvalidTransition: The current status does not allow the new one.
        TypeError: The record has no such field.
    """
    if status not in record.transitions.get(record.status, ()):
        raise InvalidTransition(
            f"{type(record).__name__} {record.id} cannot change from {record.status} to {status}."
        )
    if (error := changes.get("error_message")) is not None:
        changes["error_message"] = escape_control_characters(error)  # a handler or a broker may have written it
    return msgspec.structs.replace(record, status=status, **changes)
