"""``fnkit invoke``: invoke a function locally or remotely."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.completion import complete_functions
from fnkit.cli.deployed_call import announce_cron, invoke_deployed
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, allow_builds_option, api_options, common_options
from fnkit.cli.suggestions import logs_command
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fnkit.cli.output import Output
    from fnkit.invoke.early_start import HandlerStart
    from fnkit.invoke.model import InvocationRequest, InvocationResult
    from fnkit.project.model import FunctionSpec

_FIRST_SERVER_ERROR = 500
_MEGABYTE = 1024 * 1024
_REQUEST_FIELDS = frozenset({"httpMethod", "path", "queryStringParameters", "headers", "body"})


@command()
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

    is_default = data is None and event is None and method is None and path is None
    with nullcontext() if remote else _start_handler(common, name) as start:
        request = build_request(_read_event(event), read_data(data), method, path, headers)
        if start is None:
            answer = invoke_deployed(common, api, name, request, is_default=is_default)
            _show_logs(common, answer)
        else:
            answer = _invoke_local(
                common,
                api,
                name,
                request,
                start,
                is_default=is_default,
                allow_builds=allow_builds,
                has_timeout=not no_timeout,
            )
    common.output.message(f"{answer.response.status} in {answer.duration_ms:.1f} ms")
    common.output.result(InvokeView(answer))
    if answer.response.status < _FIRST_SERVER_ERROR:
        return None
    if remote:
        common.output.message(f"Its logs: `{logs_command(common, api, name)}`")
    return 1


def _show_logs(common: CommonOptions, answer: InvocationResult) -> None:
    """Show what the function printed, as a local invocation does."""
    if not common.output.as_json:
        for line in answer.logs:
            common.output.message(line)


def _start_handler(common: CommonOptions, name: str) -> AbstractContextManager[HandlerStart]:
    """Start the process of the handler if it is known, so that it imports packages while the project is read."""
    from fnkit.deploy.user_cache import open_cache_directory
    from fnkit.invoke.early_start import handler_start

    # The handler gets the terminal, so that breakpoint() works.
    has_terminal = not common.output.as_json and sys.stdin.isatty() and sys.stderr.isatty()
    record = open_cache_directory(os.environ).early_start_record(common.directory, common.stage, name)
    return handler_start(record, has_terminal=has_terminal)


def _invoke_local(
    common: CommonOptions,
    api: ApiOptions,
    name: str,
    request: InvocationRequest,
    start: HandlerStart,
    *,
    is_default: bool,
    allow_builds: bool,
    has_timeout: bool,
) -> InvocationResult:
    from fnkit.cli.handler_environment import prepare_function
    from fnkit.cli.local_function_urls import with_local_urls
    from fnkit.invoke.cron_request import cron_request
    from fnkit.invoke.local import invoke_local

    local = prepare_function(common, name, allow_builds=allow_builds)
    crons = local.function.crons
    if is_default and crons:
        announce_cron(common.output, crons[0].name, len(crons))
        request = cron_request(crons[0].args, request.headers)
    answer = invoke_local(
        local.project,
        with_local_urls(common, api, local.project, local.function),
        request,
        local.secret_values,
        local.environment,
        start,
        on_line=_discard if common.output.as_json else common.output.message,
        has_timeout=has_timeout,
    )
    _warn_of_memory(common.output, local.function, answer)
    return answer


def _warn_of_memory(output: Output, function: FunctionSpec, answer: InvocationResult) -> None:
    """Say if the handler used more memory than its function has: nothing limits it here."""
    used = (answer.memory_bytes or 0) // _MEGABYTE
    if used > function.memory:
        output.warning(
            f"{function.name} used {used} MB, more than its {function.memory} MB. "
            "Deployed, it would be stopped, and the response would be 502."
        )


def _discard(_line: str) -> None:
    """Ignore a line that is in the JSON document too."""


def build_request(
    event: dict[str, object], data: bytes, method: str | None, path: str | None, headers: tuple[str, ...]
) -> InvocationRequest:
    """Build the request from the options. Take what they leave out from the fields of the event."""
    from urllib.parse import quote, urlencode

    from fnkit.invoke.model import InvocationRequest

    event_body = event.get("body")
    if data and event_body:
        raise UsageError("--data and a body in the event exclude each other.")
    body = data or (event_body.encode("utf-8", "surrogateescape") if isinstance(event_body, str) else b"")
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
    from fnkit.invoke.event_files import normalize_event

    if source is None:
        return {}
    try:
        event = json.loads(_read_file(source))
    except ValueError as error:
        raise UsageError(f"The event in {source} is not JSON: {error}.", code="bad-event") from None
    if not isinstance(event, dict):
        raise UsageError(f"The event in {source} is not a JSON object.", code="bad-event")
    return normalize_event(event, source)


def read_data(data: str | None) -> bytes:
    """Return the body that ``--data`` describes: text, ``@FILE``, or ``@-`` for standard input."""
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
