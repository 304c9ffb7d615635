"""Request bodies of the Functions API.

``None`` means that a field is not given: the API treats null and absent fields alike, and encoding omits them
(``omit_defaults``). To clear a field, send a value: ``""`` clears a description or detaches a private network, and
``Secret(key=…)`` without a value deletes a secret, as in recorded traffic.
"""

from __future__ import annotations

import msgspec


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret in a request. In an update, ``value=None`` deletes the secret."""

    key: str
    value: str | None = None

    def __repr__(self) -> str:
        """Return a representation without the value, which must not reach a log or traceback."""
        return f"Secret(key={self.key!r})"


class UpdateNamespace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """PATCH /namespaces/{id}. Environment variables are replaced as a whole; secrets are merged by key."""

    environment_variables: dict[str, str] | None = None
    description: str | None = None
    secret_environment_variables: list[Secret] | None = None
    tags: list[str] | None = None


class CreateNamespace(UpdateNamespace, frozen=True, kw_only=True):
    """POST /namespaces."""

    name: str | None = None
    project_id: str | None = None
    activate_vpc_integration: bool | None = None


class FunctionFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields that creating and updating a function share.

    ``memory_limit`` is in MB, ``timeout`` a duration such as ``"300s"``.
    """

    environment_variables: dict[str, str] | None = None
    min_scale: int | None = None
    max_scale: int | None = None
    runtime: str | None = None
    memory_limit: int | None = None
    timeout: str | None = None
    handler: str | None = None
    privacy: str | None = None
    description: str | None = None
    secret_environment_variables: list[Secret] | None = None
    http_option: str | None = None
    sandbox: str | None = None
    tags: list[str] | None = None
    private_network_id: str | None = None


class CreateFunction(FunctionFields, frozen=True, kw_only=True):
    """POST /functions."""

    name: str | None = None
    namespace_id: str | None = None


class UpdateFunction(FunctionFields, frozen=True, kw_only=True):
    """PATCH /functions/{id}. Redeploys the function unless ``redeploy`` is false."""

    redeploy: bool | None = None


class CreateCron(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /crons. ``args`` is any JSON object."""

    function_id: str | None = None
    schedule: str | None = None
    args: dict[str, object] | None = None
    name: str | None = None


class UpdateCron(CreateCron, frozen=True, kw_only=True):
    """PATCH /crons/{id}. ``args`` is replaced as a whole."""


class CreateDomain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /domains."""

    hostname: str | None = None
    function_id: str | None = None


class ScwSqsConfigInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``scw_sqs_config``: a queue of Scaleway's Queues service."""

    queue: str | None = None
    mnq_project_id: str | None = None
    mnq_region: str | None = None


class ScwNatsConfigInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``scw_nats_config``: a subject of a Scaleway NATS account."""

    subject: str | None = None
    mnq_nats_account_id: str | None = None
    mnq_project_id: str | None = None
    mnq_region: str | None = None


class SqsCredentialsInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``sqs_config`` of an update: only the credentials can be changed."""

    access_key: str | None = None
    secret_key: str | None = None

    def __repr__(self) -> str:
        """Return a representation without fields: both are credentials."""
        return "SqsKeys()"


class SqsConfigInput(SqsCredentialsInput, frozen=True, kw_only=True):
    """``sqs_config``: a queue of any SQS-compatible service. The SDKs have it, the API document does not."""

    endpoint: str | None = None
    queue_url: str | None = None

    def __repr__(self) -> str:
        """Return a representation without the credentials."""
        return f"SqsInput(queue_url={self.queue_url!r})"


class CreateToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /tokens. Requires exactly one of the IDs; ``expires_at`` is an RFC 3339 timestamp."""

    function_id: str | None = None
    namespace_id: str | None = None
    description: str | None = None
    expires_at: str | None = None


class CreateTrigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /triggers. Requires exactly one of the configurations."""

    name: str | None = None
    function_id: str | None = None
    description: str | None = None
    scw_sqs_config: ScwSqsConfigInput | None = None
    scw_nats_config: ScwNatsConfigInput | None = None
    sqs_config: SqsConfigInput | None = None


class UpdateTrigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """PATCH /triggers/{id}."""

    name: str | None = None
    description: str | None = None
    sqs_config: SqsCredentialsInput | None = None
