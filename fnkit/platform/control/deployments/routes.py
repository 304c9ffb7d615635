"""The data plane's routes, built from stored records."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.platform import is_preload_enabled
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import PlatformError
from fnkit.platform.control.addresses import default_hostnames, path_prefix
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.deployments.programs import Programs
from fnkit.platform.model.debugger import Debugger
from fnkit.platform.model.records import Deployment, FunctionRecord, NamespaceRecord
from fnkit.platform.model.routing import ImageProgram, LocalProgram, Route

_logger = logging.getLogger(__name__)
_DEBUGGED_SECONDS: Final = 30 * 24 * 3600.0
"""How long a request may take while its function is debugged: somebody may stand at a breakpoint."""


def function_hosts(context: ControlContext, record: FunctionRecord) -> tuple[str, ...]:
    """Return all hostnames of a function: its default hostnames and its routed custom domains."""
    own = default_hostnames(record.host_label, record.region, context.settings.domain_suffix)
    domains = context.store.domains.all(function_id=record.id, routed=1)
    return (*own, *(domain.hostname for domain in domains))


class DeploymentVariables(NamedTuple):
    """The variables of a deployment.

    Attributes:
        environment: All of them, secrets decrypted.
        secret_names: Those that are secrets, sorted.
    """

    environment: dict[str, str]
    secret_names: tuple[str, ...]


def merge_variables(
    context: ControlContext, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment
) -> DeploymentVariables:
    """Return the variables of a deployment, with decrypted secrets.

    A function's variables take precedence over its namespace's; at the same level, secrets take precedence over
    plain variables.

    Raises:
        PlatformError: ``secret-unreadable``.
    """
    settings = deployment.settings
    shared_secrets = context.secrets.decrypt_all(namespace.id, namespace.secrets)
    own_secrets = context.secrets.decrypt_all(record.id, settings.secrets)
    environment = namespace.environment | shared_secrets | settings.environment | own_secrets
    secret_names = (shared_secrets.keys() - settings.environment.keys()) | own_secrets.keys()
    return DeploymentVariables(environment, tuple(sorted(secret_names)))


def build_route(
    context: ControlContext,
    program: LocalProgram | ImageProgram,
    namespace: NamespaceRecord,
    record: FunctionRecord,
    deployment: Deployment,
) -> Route:
    """Return the route of a deployment, with decrypted secrets.

    Raises:
        PlatformError: ``secret-unreadable``.
    """
    settings = deployment.settings
    runtime = find_runtime(settings.runtime)
    variables = merge_variables(context, namespace, record, deployment)
    route = Route(
        function_id=record.id,
        generation=deployment.generation,
        name=record.name,
        namespace_id=namespace.id,
        region=record.region,
        project_id=record.project_id,
        hosts=function_hosts(context, record),
        path_prefix=path_prefix(record.region, namespace.name, record.name),
        created_at=record.created_at,
        runtime=settings.runtime,
        language=runtime.language if runtime else "",
        program=program,
        handler=settings.handler,
        memory=settings.memory,
        cpu=settings.cpu,
        timeout=settings.timeout_seconds,
        min_scale=settings.min_scale,
        max_scale=settings.max_scale,
        privacy=settings.privacy,
        http_option=settings.http_option,
        sandbox=settings.sandbox,
        environment=variables.environment,
        secret_names=variables.secret_names,
        preload=is_preload_enabled(record.tags),
        private_network_id=record.private_network_id or "",
    )
    debugger = context.settings.debugger
    return route if debugger is None or debugger.function != record.name else _debugged(route, debugger)


def _debugged(route: Route, debugger: Debugger) -> Route:
    """Return the route of a function that runs under a debugger.

    One instance, because a debugger is attached to one process. It is there before the first request, so that
    breakpoints can be set. Nothing of the function is imported before the debugger is.
    """
    return msgspec.structs.replace(
        route,
        debugger=debugger,
        min_scale=1,
        max_scale=1,
        timeout=_DEBUGGED_SECONDS,
        sandbox="v2",
        preload=False,
    )


def serving_routes(context: ControlContext, programs: Programs) -> tuple[Route, ...]:
    """Return the routes of all serving deployments, except those with a secret that cannot be decrypted.

    Those whose program has to be made first are started when it is (``Restarts``).
    """
    namespaces = {namespace.id: namespace for namespace in context.store.namespaces.all()}
    routes = []
    for record in context.store.functions.all(serving=1):
        namespace = namespaces.get(record.namespace_id)
        if namespace is None or record.serving is None or record.status is Status.DELETING:
            continue
        program = programs.find(record, record.serving)
        if program is None:
            continue
        try:
            routes.append(build_route(context, program, namespace, record, record.serving))
        except PlatformError as error:
            _logger.warning("Function %s is not served: %s", record.id, error)
    return tuple(routes)
