"""The API's objects, built from stored records.

The parameter ``just_written`` names the timestamps that the write to be answered has set: they have nine fractional
digits in its response, all others six.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from fnkit.contract.durations import format_duration
from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.resources import (
    Cron,
    Domain,
    Function,
    Namespace,
    Runtime,
    ScwNatsConfig,
    ScwSqsConfig,
    SqsConfig,
    Token,
    Trigger,
)
from fnkit.contract.runtimes import RuntimeTable
from fnkit.platform.control.addresses import domain_name, registry_endpoint
from fnkit.platform.control.secrets import public_view
from fnkit.platform.control.timestamps import format_expiry, format_microseconds, format_nanoseconds
from fnkit.platform.model.records import (
    CronRecord,
    DomainRecord,
    FunctionRecord,
    NamespaceRecord,
    NatsSource,
    QueueSource,
    SqsSource,
    TokenRecord,
    TriggerRecord,
)

__all__ = [
    "CREATED_TIMESTAMPS",
    "NO_TIMESTAMPS",
    "UPDATED_TIMESTAMPS",
    "cron_view",
    "domain_view",
    "function_view",
    "namespace_view",
    "token_view",
    "trigger_view",
]

NO_TIMESTAMPS: frozenset[str] = frozenset()
UPDATED_TIMESTAMPS = frozenset({"updated_at"})
CREATED_TIMESTAMPS = frozenset({"created_at", "updated_at"})


def namespace_view(record: NamespaceRecord, just_written: frozenset[str] = NO_TIMESTAMPS) -> Namespace:
    """Return the API's object for a namespace."""
    registered = bool(record.registry_namespace_id)
    return Namespace(
        id=record.id,
        name=record.name,
        environment_variables=record.environment,
        organization_id=record.organization_id,
        project_id=record.project_id,
        status=record.status.value,
        registry_namespace_id=record.registry_namespace_id,
        error_message=record.error_message,
        registry_endpoint=registry_endpoint(record.label, record.region) if registered else "",
        description=record.description,
        secret_environment_variables=public_view(record.secrets),
        tags=list(record.tags),
        created_at=_format_time("created_at", record.created_at, just_written),
        updated_at=_format_time("updated_at", record.updated_at, just_written),
        vpc_integration_activated=record.vpc_integration_activated,
        region=record.region,
    )


def function_view(
    record: FunctionRecord, suffix: str, runtimes: RuntimeTable, just_written: frozenset[str] = NO_TIMESTAMPS
) -> Function:
    """Return the API's object for a function.

    Args:
        record: The function.
        suffix: The suffix of the platform's domain names.
        runtimes: The runtime table.
        just_written: The timestamps that were just written.
    """
    settings = record.settings
    return Function(
        id=record.id,
        name=record.name,
        namespace_id=record.namespace_id,
        status=record.status.value,
        environment_variables=settings.environment,
        min_scale=settings.min_scale,
        max_scale=settings.max_scale,
        runtime=settings.runtime,
        memory_limit=settings.memory,
        cpu_limit=settings.cpu,
        timeout=format_duration(settings.timeout),
        handler=settings.handler,
        error_message=record.error_message,
        privacy=settings.privacy,
        description=record.description,
        domain_name=domain_name(record.host_label, record.region, suffix),
        secret_environment_variables=public_view(settings.secrets),
        http_option=settings.http_option,
        runtime_message=_runtime_message(runtimes.find(settings.runtime)),
        build_message=record.build_message,
        sandbox=settings.sandbox,
        created_at=_format_time("created_at", record.created_at, just_written),
        updated_at=_format_time("updated_at", record.updated_at, just_written),
        ready_at=None if record.ready_at is None else format_microseconds(record.ready_at),
        tags=list(record.tags),
        private_network_id=record.private_network_id,
        region=record.region,
    )


def cron_view(record: CronRecord) -> Cron:
    """Return the API's object for a cron."""
    return Cron(
        id=record.id,
        function_id=record.function_id,
        schedule=record.schedule,
        args=record.args,
        status=record.status.value,
        name=record.name,
    )


def domain_view(record: DomainRecord) -> Domain:
    """Return the API's object for a domain. As recorded, the URL stays while a domain that was ready is deleted."""
    return Domain(
        id=record.id,
        hostname=record.hostname,
        function_id=record.function_id,
        url=f"https://{record.hostname}" if record.was_ready else "",
        status=record.status.value,
        error_message=record.error_message,
    )


def token_view(
    record: TokenRecord,
    token_text: str = "<hidden>",  # noqa: S107 - what the API shows instead of a token
    public_key: str = "",
) -> Token:
    """Return the API's object for a token.

    As recorded, only the response that creates a token contains the token and the public key.
    """
    return Token(
        id=record.id,
        token=token_text,
        function_id=record.function_id or msgspec.UNSET,
        namespace_id=record.namespace_id or msgspec.UNSET,
        public_key=public_key,
        status=record.status.value,
        description=record.description,
        expires_at=None if record.expires_at is None else format_expiry(record.expires_at),
    )


def trigger_view(record: TriggerRecord) -> Trigger:
    """Return the API's object for a trigger, without secrets."""
    source = record.source
    queue: ScwSqsConfig | msgspec.UnsetType = msgspec.UNSET
    nats: ScwNatsConfig | msgspec.UnsetType = msgspec.UNSET
    sqs: SqsConfig | msgspec.UnsetType = msgspec.UNSET
    match source:
        case QueueSource():
            kind = "scw_sqs"
            queue = ScwSqsConfig(
                queue=source.queue,
                mnq_project_id=source.project_id,
                mnq_region=source.region,
                mnq_credential_id=source.credential_id,
            )
        case NatsSource():
            kind = "scw_nats"
            nats = ScwNatsConfig(
                subject=source.subject,
                mnq_nats_account_id=source.account_id,
                mnq_project_id=source.project_id,
                mnq_region=source.region,
                mnq_credential_id=source.credential_id,
            )
        case SqsSource():
            kind = "sqs"
            sqs = SqsConfig(endpoint=source.endpoint, queue_url=source.queue_url, access_key=source.access_key)
        case _:
            assert_never(source)
    return Trigger(
        id=record.id,
        name=record.name,
        description=record.description,
        function_id=record.function_id,
        input_type=kind,
        status=record.status.value,
        error_message=record.error_message,
        scw_sqs_config=queue,
        scw_nats_config=nats,
        sqs_config=sqs,
    )


def _format_time(name: str, nanoseconds: int, just_written: frozenset[str]) -> str:
    return format_nanoseconds(nanoseconds) if name in just_written else format_microseconds(nanoseconds)


def _runtime_message(runtime: Runtime | None) -> str:
    available = runtime is None or runtime.status in (RuntimeStatus.AVAILABLE, RuntimeStatus.BETA)
    return "" if available or runtime is None else runtime.status_message
