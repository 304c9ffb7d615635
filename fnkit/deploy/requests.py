"""Builds the API's request bodies from changes and uploads archives. Secret values are inserted here only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fnkit.client.api import FunctionsApi
from fnkit.contract.requests import (
    CreateCron,
    CreateDomain,
    CreateFunction,
    CreateNamespace,
    CreateTrigger,
    ScwNatsConfigInput,
    ScwSqsConfigInput,
    Secret,
    UpdateCron,
    UpdateFunction,
    UpdateNamespace,
    UpdateTrigger,
)
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import DeployError
from fnkit.plan.model import (
    CronChange,
    DomainChange,
    FunctionChange,
    FunctionConfig,
    NamespaceChange,
    SecretDiff,
    TriggerChange,
    TriggerConfig,
)
from fnkit.plan.ownership import code_tag, hash_live_ids, resource_hash_tag

__all__ = [
    "ArchivePaths",
    "create_cron",
    "create_domain",
    "create_function",
    "create_namespace",
    "create_trigger",
    "update_cron",
    "update_function",
    "update_namespace",
    "update_trigger",
    "upload_archive",
]

ArchivePaths = Mapping[str, Path]
"""Path of the zip file by digest."""


def upload_archive(api: FunctionsApi, function_id: str, archive: Path, limiter: AdaptiveLimiter) -> int:
    """Upload a function's archive and return its size in bytes. Idempotent.

    Raises:
        ApiError: The API or the object store rejected it.
        DeployError: The archive cannot be read.
    """

    def send() -> int:
        try:
            stream = archive.open("rb")
        except OSError as error:
            raise DeployError(
                f"The archive {archive.name} cannot be read: {error.strerror}.", code="archive-unreadable"
            ) from error
        with stream:
            size = archive.stat().st_size
            # Request a new URL for each attempt: a signed URL is valid for one content length and one hour.
            target = api.functions.upload_url(function_id, size)
            headers = {name: ",".join(values) for name, values in target.headers.items()}
            api.transport.upload(target.url, headers, stream, size)
        return size

    return limiter.call(send, idempotent=True)


def create_namespace(change: NamespaceChange, project_id: str, secrets: Mapping[str, str]) -> CreateNamespace:
    """Return the body of POST /namespaces with all settings."""
    settings = change.settings
    return CreateNamespace(
        name=change.name,
        project_id=project_id,
        environment_variables=settings.environment if settings else None,
        description=settings.description if settings else None,
        secret_environment_variables=_secret_inputs(change.secrets, secrets),
        tags=list(settings.tags) if settings else None,
    )


def update_namespace(change: NamespaceChange, secrets: Mapping[str, str]) -> UpdateNamespace:
    """Return the body of PATCH /namespaces/{id} with all settings."""
    settings = change.settings
    return UpdateNamespace(
        environment_variables=settings.environment if settings else None,
        description=settings.description if settings else None,
        secret_environment_variables=_secret_inputs(change.secrets, secrets),
        tags=list(settings.tags) if settings else None,
    )


def create_function(change: FunctionChange, settings: FunctionConfig, namespace_id: str) -> CreateFunction:
    """Return the body of POST /functions: name, runtime and owner tags only.

    All other settings follow in the final PATCH, together with the digest.
    """
    return CreateFunction(
        name=change.name,
        namespace_id=namespace_id,
        runtime=settings.runtime,
        handler=settings.handler,
        privacy=settings.privacy,
        tags=list(change.tags),
    )


def update_function(
    change: FunctionChange, settings: FunctionConfig, resource_ids: Iterable[str], secrets: Mapping[str, str]
) -> UpdateFunction:
    """Return the body of PATCH /functions/{id}: every setting, the tags with the new digest, and the redeploy."""
    links = change.live_links if change.live_links is not None else hash_live_ids(resource_ids)
    tags = [*change.tags, code_tag(change.code), resource_hash_tag(change.declared, links)]
    return UpdateFunction(
        environment_variables=settings.environment,
        min_scale=settings.min_scale,
        max_scale=settings.max_scale,
        runtime=settings.runtime,
        memory_limit=settings.memory,
        timeout=settings.timeout,
        redeploy=True,
        handler=settings.handler,
        privacy=settings.privacy,
        description=settings.description,
        secret_environment_variables=_secret_inputs(change.secrets, secrets),
        http_option=settings.http_option,
        sandbox=settings.sandbox,
        tags=tags,
        private_network_id=settings.private_network_id,
    )


def create_cron(change: CronChange, function_id: str) -> CreateCron:
    """Return the body of POST /crons."""
    return CreateCron(function_id=function_id, schedule=change.schedule, args=change.args, name=change.name)


def create_domain(change: DomainChange, function_id: str) -> CreateDomain:
    """Return the body of POST /domains."""
    return CreateDomain(function_id=function_id, hostname=change.name)


def create_trigger(change: TriggerChange, settings: TriggerConfig, function_id: str) -> CreateTrigger:
    """Return the body of POST /triggers."""
    queue = nats = None
    if settings.source == "sqs":
        queue = ScwSqsConfigInput(
            queue=settings.address, mnq_project_id=settings.project_id, mnq_region=settings.region
        )
    else:
        nats = ScwNatsConfigInput(
            subject=settings.address,
            mnq_nats_account_id=settings.account or None,
            mnq_project_id=settings.project_id,
            mnq_region=settings.region,
        )
    return CreateTrigger(
        name=change.name,
        function_id=function_id,
        description=settings.description,
        scw_sqs_config=queue,
        scw_nats_config=nats,
    )


def update_trigger(settings: TriggerConfig) -> UpdateTrigger:
    """Return the body of PATCH /triggers/{id}: the description, the only field that can change in place."""
    return UpdateTrigger(description=settings.description)


def update_cron(change: CronChange) -> UpdateCron:
    """Return the body of PATCH /crons/{id}."""
    return UpdateCron(schedule=change.schedule, args=change.args, name=change.name)


def _secret_inputs(changes: SecretDiff, values: Mapping[str, str]) -> list[Secret] | None:
    """Return the secrets to write with their values, and those to delete without; ``None`` for none."""
    written = [Secret(key=name, value=values[name]) for name in changes.write]
    return [*written, *(Secret(key=name) for name in changes.remove)] or None
