"""Invokes a deployed function, for ``fnkit invoke --remote``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.errors import NotFoundError

if TYPE_CHECKING:
    from fnkit.cli.local_invocation import InvocationResult, InvocationRequest
    from fnkit.client import FunctionsApi
    from fnkit.contract.resources import Function

__all__ = ["invoke_remote"]

_STATUS_FORBIDDEN: Final = 403
_MAX_FUNCTION_TIMEOUT: Final = 3600.0  # seconds; the longest timeout of a function


def invoke_remote(
    common: CommonOptions, api: ApiOptions, name: str, request: InvocationRequest
) -> InvocationResult:
    """Find the function in the project's namespace and send the request to it.

    The result has no log lines; the platform keeps them.

    Raises:
        NotFoundError: The function is not deployed.
        ApiError: A request to the API failed.
        InvokeError: The function did not respond.
    """
    from fnkit.cli.endpoints import endpoint_from_options
    from fnkit.cli.local_invocation import InvocationResult
    from fnkit.client import FunctionsApi
    from fnkit.client.calling import call_function
    from fnkit.contract.invocation import MappedResponse
    from fnkit.deploy.loading import load_identity

    identity = load_identity(common.directory, stage=common.stage)
    with FunctionsApi(endpoint_from_options(common, api, project_region=identity.region)) as client:
        info = client.platform_info()
        function = _find_function(client, identity.namespace, name)
    started_at = time.perf_counter()
    response = call_function(
        info,
        function.domain_name,
        method=request.method,
        target=request.target,
        headers=request.headers,
        body=request.body,
        timeout=_MAX_FUNCTION_TIMEOUT,
        use_tls=function.http_option == "redirected",
    )
    milliseconds = round((time.perf_counter() - started_at) * 1000, 3)
    if function.privacy == "private" and response.status == _STATUS_FORBIDDEN:
        common.output.warning(
            f"{name} is private. Pass a token of the function or its namespace, or the secret of an API key: "
            "-H 'X-Auth-Token: …'."
        )
    mapped = MappedResponse(response.status, list(response.headers), response.body)
    return InvocationResult(response=mapped, duration_ms=milliseconds, logs=())


def _find_function(client: FunctionsApi, namespace_name: str, name: str) -> Function:
    project_id = client.endpoint.project_id
    for namespace in client.namespaces.list(name=namespace_name, project_id=project_id):
        if namespace.name == namespace_name:  # the name filter of the API may match more than the exact name
            for function in client.functions.list(namespace.id):
                if function.name == name:
                    return function
    raise NotFoundError(
        f"There is no function {name} in namespace {namespace_name}.",
        code="not-deployed",
        hint="Run `fnkit deploy` first, or invoke the function locally without --remote.",
    )
