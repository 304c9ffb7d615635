"""``fnkit invoke``: invoke a function locally or remotely."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.completion import complete_functions
from fnkit.cli.options import ApiOptions, CommonOptions, allow_builds_option, api_options, common_options
from fnkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fnkit.client import FunctionsApi
    from fnkit.contract.resources import Function
    from fnkit.invoke.model import InvocationRequest, InvocationResult

_STATUS_FORBIDDEN: Final = 403

_FIRST_SERVER_ERROR = 500
_REQUEST_FIELDS = frozenset({"httpMethod", "path", "queryStringParameters", "headers", "body"})


def _invoke_remote(
    common: CommonOptions, api: ApiOptions, name: str, request: InvocationRequest
) -> InvocationResult:
    """Find the function in the project's namespace and send the request to it."""
    from fnkit.cli.endpoints import open_api
    from fnkit.invoke.remote import invoke_remote

    with open_api(common, api) as (client, identity):
        info = client.platform_info()
        function = _find_function(client, identity.namespace, name)
    result = invoke_remote(info, function, request)
    if function.privacy == "private" and result.response.status == _STATUS_FORBIDDEN:
        common.output.warning(
            f"{name} is private. Pass a token of the function or its namespace, or the secret of an API key: "
            "-H 'X-Auth-Token: …'."
        )
    return result


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


@click.command()
@click.argument("name", shell_complete=complete_functions)
@click.option("-d", "--data", metavar="TEXT", help="Request body: text, @FILE, or @- for standard input.")
@click.option(
    "--event", metavar="FILE", help="Read all or part of an event from a JSON file; - reads standard input."
)
@click.option("-X", "--method", metavar="VERB", help="HTTP method.  [default: GET; POST with a body]")
@click.option("--path", metavar="PATH", help="Request path with query string.  [default: /]")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Request header; may be repeated."
)
@click.option("--remote", is_flag=True, help="Invoke the deployed function.")
@click.option("--no-timeout", is_flag=True, help="Locally, let the handler take any time, as for breakpoint().")
@allow_builds_option
@api_options
@common_options
def invoke(  # noqa: PLR0913 - one parameter an option
    common: CommonOptions,
    api: ApiOptions,
    *,
    name: str,
    data: str | None,
    event: str | None,
    method: str | None,
    path: str | None,
    headers: tuple[str, ...],
    remote: bool,
    no_timeout: bool,
    allow_builds: bool,
) -> int | None:
    """Invoke a function locally, or remotely with --remote.

    Locally, the handler runs in a process of its own with the packages of the project's lock, which are installed
    into an environment in the cache the first time; functions in Go and Rust are compiled. Environment variables
    come from the project; secrets come from the environment or .env. The exit code is 1 if the status of the
    response is 500 or higher.
    """
    from fnkit.cli.views.invoke import InvokeView

    request = _build_request(_read_event(event), _read_data(data), method, path, headers)
    if remote:
        answer = _invoke_remote(common, api, name, request)
    else:
        answer = _invoke_local(common, name, request, allow_builds=allow_builds, has_timeout=not no_timeout)
    common.output.message(f"{answer.response.status} in {answer.duration_ms:.1f} ms")
    common.output.result(InvokeView(answer))
    return 1 if answer.response.status >= _FIRST_SERVER_ERROR else None


def _invoke_local(
    common: CommonOptions, name: str, request: InvocationRequest, *, allow_builds: bool, has_timeout: bool
) -> InvocationResult:
    from fnkit.cli.handler_environment import prepare_function
    from fnkit.invoke.local import invoke_local

    local = prepare_function(common, name, allow_builds=allow_builds)
    on_line: Callable[[str], None] | None = common.output.message
    if common.output.as_json:
        on_line = _discard
    elif sys.stdin.isatty() and sys.stderr.isatty():
        on_line = None  # the handler gets the terminal, so that breakpoint() works
    return invoke_local(
        local.project,
        local.function,
        request,
        local.secret_values,
        local.environment,
        on_line,
        has_timeout=has_timeout,
    )


def _discard(_line: str) -> None:
    """Ignore a line that is in the JSON document too."""


def _build_request(
    event: dict[str, object], data: bytes, method: str | None, path: str | None, headers: tuple[str, ...]
) -> InvocationRequest:
    """Build the request from the options. Take what they leave out from the fields of the event."""
    from urllib.parse import quote, urlencode

    from fnkit.invoke.model import InvocationRequest

    if data and "body" in event:
        raise UsageError("--data and a body in the event exclude each other.")
    event_body = event.get("body")
    body = data or (event_body.encode() if isinstance(event_body, str) else b"")
    target = path or quote(str(event.get("path", "/")))
    query = event.get("queryStringParameters")
    if path is None and isinstance(query, dict) and query:
        target += "?" + urlencode({str(key): str(value) for key, value in query.items()})
    event_headers = event.get("headers")
    pairs = _parse_headers(headers, body)
    if isinstance(event_headers, dict):
        given = {name.lower() for name, _ in pairs}
        pairs += tuple((str(k), str(v)) for k, v in event_headers.items() if str(k).lower() not in given)
    http_method = method or str(event.get("httpMethod", "POST" if body else "GET"))
    return InvocationRequest(
        method=http_method.upper(),
        target=target if target.startswith("/") else f"/{target}",
        headers=pairs,
        body=body,
        event={key: value for key, value in event.items() if key not in _REQUEST_FIELDS},
    )


def _read_event(source: str | None) -> dict[str, object]:
    if source is None:
        return {}
    try:
        event = json.loads(_read_file(source))
    except ValueError as error:
        raise UsageError(f"The event in {source} is not JSON: {error}.", code="bad-event") from None
    if not isinstance(event, dict):
        raise UsageError(f"The event in {source} is not a JSON object.", code="bad-event")
    return event


def _read_data(data: str | None) -> bytes:
    if data is None:
        return b""
    return _read_file(data[1:]) if data.startswith("@") else data.encode("utf-8", "surrogateescape")


def _read_file(name: str) -> bytes:
    """Read a file; ``-`` is standard input."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.", code="unreadable-file") from None


def _parse_headers(texts: tuple[str, ...], body: bytes) -> tuple[tuple[str, str], ...]:
    """Parse the headers, and add content type and length of a body where they are not given."""
    pairs = []
    for header in texts:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not header.isprintable():
            raise UsageError(
                f"{name.strip()!r} is not a header.", code="bad-header", hint="Write it as 'Name: value'."
            )
        pairs.append((name.strip(), value.strip()))
    if body and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json" if _is_json(body) else "text/plain; charset=utf-8"))
    if body and not any(name.lower() == "content-length" for name, _ in pairs):
        pairs.append(("Content-Length", str(len(body))))
    return tuple(pairs)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
