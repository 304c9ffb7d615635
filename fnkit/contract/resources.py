"""Resources of the Functions API, with fields in the order of the real API's responses.

The types follow the API document, corrected by recorded traffic (``docs/api-behaviour.md``). Enumerated fields are
plain strings because the API adds values without notice; ``fnkit.contract.enums`` lists the known ones.
Timestamps are RFC 3339 strings in UTC, durations are strings such as ``"300s"``, memory is in MB and CPU in mVCPU.
"""

from __future__ import annotations

import msgspec


class SecretHashedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A secret in a response: its name and the argon2id hash of its value (a PHC string)."""

    key: str
    hashed_value: str


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A group of functions that share environment variables, secrets and tokens."""

    id: str
    name: str
    environment_variables: dict[str, str]
    organization_id: str
    project_id: str
    status: str
    registry_namespace_id: str
    error_message: str | None = None
    registry_endpoint: str
    description: str | None = ""
    secret_environment_variables: list[SecretHashedValue]
    tags: list[str]
    created_at: str | None = None
    updated_at: str | None = None
    vpc_integration_activated: bool = False
    region: str


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One deployed handler and its settings."""

    id: str
    name: str
    namespace_id: str
    status: str
    environment_variables: dict[str, str]
    min_scale: int
    max_scale: int
    runtime: str
    memory_limit: int
    cpu_limit: int
    timeout: str | None
    handler: str
    error_message: str | None = None
    privacy: str
    description: str | None = ""
    domain_name: str
    secret_environment_variables: list[SecretHashedValue]
    http_option: str
    runtime_message: str = ""
    build_message: str | None = None
    sandbox: str
    created_at: str | None = None
    updated_at: str | None = None
    ready_at: str | None = None
    tags: list[str]
    private_network_id: str | None = None
    region: str


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that POSTs ``args`` to a function. The API returns neither its region nor its dates."""

    id: str
    function_id: str
    schedule: str
    args: dict[str, object]
    status: str
    name: str | None = None


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A hostname bound to a function. ``url`` is empty until the domain is ready."""

    id: str
    hostname: str
    function_id: str
    url: str
    status: str
    error_message: str | None = None


class ScwSqsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``scw_sqs_config``. The API creates the credential; until then its ID is ``None``."""

    queue: str
    mnq_project_id: str
    mnq_region: str
    mnq_credential_id: str | None = None


class ScwNatsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``scw_nats_config``."""

    subject: str
    mnq_nats_account_id: str
    mnq_project_id: str
    mnq_region: str
    mnq_credential_id: str | None = None


class SqsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``sqs_config``. The API never returns the secret key."""

    endpoint: str
    queue_url: str
    access_key: str
    secret_key: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to call a function or all functions of a namespace; the other ID is absent.

    Only the response that creates the token contains ``token`` and ``public_key``. Later responses have
    ``"<hidden>"`` and ``""`` instead.
    """

    id: str
    token: str
    function_id: str | msgspec.UnsetType = msgspec.UNSET
    namespace_id: str | msgspec.UnsetType = msgspec.UNSET
    public_key: str
    status: str
    description: str
    expires_at: str | None

    def __repr__(self) -> str:
        """Return a representation without the token, which is a credential."""
        return f"Token({self.id!r})"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A queue or subject whose messages are POSTed to a function. The other configurations are absent."""

    id: str
    name: str
    description: str = ""
    function_id: str
    input_type: str
    status: str
    error_message: str | None = None
    scw_sqs_config: ScwSqsConfig | msgspec.UnsetType | None = msgspec.UNSET
    scw_nats_config: ScwNatsConfig | msgspec.UnsetType | None = msgspec.UNSET
    sqs_config: SqsConfig | msgspec.UnsetType | None = msgspec.UNSET


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a language that functions can be written in. The API returns every field as a string."""

    name: str
    language: str
    version: str
    default_handler: str
    code_sample: str
    status: str
    status_message: str
    extension: str
    implementation: str
    logo_url: str


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """URL and headers for uploading a function's archive by PUT, or downloading it by GET, valid for 3,600 s."""

    url: str
    headers: dict[str, list[str]]


class ListRuntimesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The whole runtime table; the API does not page it."""

    runtimes: list[Runtime]
    total_count: int
