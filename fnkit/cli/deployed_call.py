"""Calls a deployed function for ``fnkit invoke --remote``, and reads what a function logged during a call."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.cli.output import Output
from fnkit.errors import FnkitError

if TYPE_CHECKING:
    from fnkit.client import FunctionsApi
    from fnkit.contract.platform import PlatformInfo
    from fnkit.contract.resources import Function
    from fnkit.invoke.model import InvocationRequest, InvocationResult

_REQUEST_ID: Final = "X-Request-Id"
_STATUS_FORBIDDEN: Final = 403
_NANOSECONDS: Final = 10**9
_CLOCK_TOLERANCE: Final = 60 * _NANOSECONDS  # how far the clocks of this machine and of a log server may differ


def invoke_deployed(
    common: CommonOptions, api: ApiOptions, name: str, request: InvocationRequest, *, is_default: bool
) -> InvocationResult:
    """Send a request to a function of the project's namespace, and return the response with its log lines.

    A private function is called with a temporary token unless the request has credentials.

    Args:
        common: The common options.
        api: The API options.
        name: Name of the function.
        request: The request.
        is_default: Whether no option describes the request. A function with a cron then gets the cron's request.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.deploy.deployed import read_deployed_namespace
    from fnkit.invoke.authorization import has_credentials, temporary_credentials
    from fnkit.invoke.cron_request import cron_request
    from fnkit.invoke.remote import invoke_remote

    with open_api(common, api) as (client, identity):
        function = read_deployed_namespace(client, identity.namespace).find_function(name)
        if is_default and (crons := client.crons.list(function.id)):
            first = min(crons, key=lambda one: one.name or one.id)
            announce_cron(common.output, first.name or first.id, len(crons))
            request = cron_request(first.args, request.headers)
        info = client.platform_info()
        started_at = log_time(info)
        request, request_id = _with_request_id(request)
        if has_credentials(request.headers):
            result = invoke_remote(info, function, request)
            if function.privacy == "private" and result.response.status == _STATUS_FORBIDDEN:
                common.output.warning(
                    f"{name} is private and rejects the credentials in the request. "
                    "Without them, fnkit makes a token for the call."
                )
        else:
            with temporary_credentials(client, function, "fnkit invoke") as credentials:
                result = invoke_remote(info, function, replace(request, headers=(*request.headers, *credentials)))
        return replace(result, logs=read_logged_lines(client, function, request_id, started_at))


def announce_cron(output: Output, name: str, count: int) -> None:
    """Say that a function gets the request of its cron, which the command line did not ask for."""
    others = f", the first of {count} crons" if count > 1 else ""
    output.message(f"Sending the request of cron {name}{others}.")


def log_time(info: PlatformInfo | None) -> int:
    """Return a time before now on the clock of the logs, in Unix nanoseconds."""
    if info is None or info.now is None:
        return time.time_ns() - _CLOCK_TOLERANCE
    return int(info.now * _NANOSECONDS) - _NANOSECONDS


def read_logged_lines(
    client: FunctionsApi, function: Function, request_id: str, started_at: int
) -> tuple[str, ...]:
    """Return what a function printed during a call; nothing if its logs cannot be read.

    Args:
        client: The API of the function.
        function: The function.
        request_id: The ``X-Request-Id`` of the call.
        started_at: The result of ``log_time`` before the call.
    """
    from fnkit.client.loki import LogClient
    from fnkit.logs.request_lines import read_request_lines
    from fnkit.logs.server import find_log_server

    try:
        server = find_log_server(client, os.environ)
    except FnkitError:  # Cockpit without a token: the response matters more
        return ()
    with LogClient(server) as loki:
        lines = read_request_lines(loki, function.id, request_id, started_at)
    return tuple(line.message for line in lines)


def _with_request_id(request: InvocationRequest) -> tuple[InvocationRequest, str]:
    """Return the request with an ``X-Request-Id``, and the id; one that the user gave stays."""
    given = next((value for name, value in request.headers if name.lower() == _REQUEST_ID.lower()), None)
    if given is not None:
        return request, given
    request_id = str(uuid4())
    return replace(request, headers=(*request.headers, (_REQUEST_ID, request_id))), request_id
