"""Invokes a deployed function, for ``fnkit invoke --remote``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.errors import NotFoundError

if TYPE_CHECKING:
    from fnkit.cli.local_invocation import Answer, Request
    from fnkit.client import FunctionsApi
    from fnkit.contract.resources import Function

__all__ = ["invoke_there"]

_FORBIDDEN: Final = 403
_LONGEST_TIMEOUT: Final = 3600.0  # seconds; the longest timeout of a function


def invoke_there(common: CommonOptions, api: ApiOptions, name: str, request: Request) -> Answer:
    """Find the function in the project's namespace and send the request to it.

    The result has no log lines; the platform keeps them.

    Raises:
        NotFoundError: The function is not deployed.
        ApiError: A request to the API failed.
        InvokeError: The function did not respond.
    """
    from fnkit.cli.endpoints import endpoint_for
    from fnkit.cli.local_invocation import Answer
    from fnkit.client import FunctionsApi
    from fnkit.client.calling import call_function
    from fnkit.contract.invocation import MappedResponse
    from fnkit.deploy.loading import load_identity

    identity = load_identity(common.directory, stage=common.stage)
    with FunctionsApi(endpoint_for(common, api, project_region=identity.region)) as client:
        info = client.platform()
        function = _function(client, identity.namespace, name)
    started_at = time.perf_counter()
    response = call_function(
        info,
        function.domain_name,
        method=request.method,
        target=request.target,
        headers=request.headers,
        body=request.body,
        timeout=_LONGEST_TIMEOUT,
        over_tls=function.http_option == "redirected",
    )
    milliseconds = round((time.perf_counter() - started_at) * 1000, 3)
    if function.privacy == "private" and response.status == _FORBIDDEN:
        common.output.warning(
            f"{name} is private. Pass a token of the function or its namespace, or the secret of an API key: "
            "-H 'X-Auth-Token: …'."
        )
    mapped = MappedResponse(response.status, list(response.headers), response.body)
    return Answer(response=mapped, duration_ms=milliseconds, logs=())


def _function(client: FunctionsApi, namespace_name: str, name: str) -> Function:
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
