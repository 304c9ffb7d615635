"""``fnkit invoke``: invoke a function locally or remotely."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.deployed_call import announce_cron, invoke_deployed
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options
from fnkit.cli.suggestions import logs_command
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from fnkit.invoke.model import InvocationRequest, InvocationResult

_FIRST_SERVER_ERROR = 500
_MISSING_MODULE = re.compile(rb"No module named '([A-Za-z0-9_.]+)'")
_REQUEST_FIELDS = frozenset({"httpMethod", "path", "queryStringParameters", "headers", "body"})


@click.command()
@click.argument("name")
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
) -> int | None:
    """Invoke a function locally, or remotely with --remote.

    Locally, the handler runs in a child process with this Python interpreter and its installed packages.
    Environment variables come from the project; secrets come from the environment or .env. The exit code is 1 if
    the status of the response is 500 or higher.
    """
    from fnkit.cli.views.invoke import InvokeView

    request = build_request(_read_event(event), read_data(data), method, path, headers)
    is_default = data is None and event is None and method is None and path is None
    if remote:
        answer = invoke_deployed(common, api, name, request, is_default=is_default)
        _show_logs(common, answer)
    else:
        answer = _invoke_local(common, name, request, is_default=is_default)
        _warn_about_missing_package(common, answer)
    common.output.message(f"{answer.response.status} in {answer.duration_ms:.1f} ms")
    common.output.result(InvokeView(answer))
    if answer.response.status < _FIRST_SERVER_ERROR:
        return None
    if remote:
        common.output.message(f"Its logs: {logs_command(common, api, name)}")
    return 1


def _show_logs(common: CommonOptions, answer: InvocationResult) -> None:
    """Show what the function printed, as a local invocation does."""
    if not common.output.as_json:
        for line in answer.logs:
            common.output.message(line)


def _invoke_local(
    common: CommonOptions, name: str, request: InvocationRequest, *, is_default: bool
) -> InvocationResult:
    from dataclasses import replace
    from os import environ

    from fnkit.deploy.loading import load_project
    from fnkit.invoke.cron_request import cron_request
    from fnkit.invoke.local import invoke_local
    from fnkit.project import read_secret_values

    project = load_project(common.directory, stage=common.stage)
    spec = next((spec for spec in project.functions if spec.name == name), None)
    if spec is None:
        known = ", ".join(spec.name for spec in project.functions) or "none"
        raise UsageError(
            f"The project has no function {name}.", code="no-function", hint=f"Its functions are: {known}."
        )
    if is_default and spec.crons:
        announce_cron(common.output, spec.crons[0].name, len(spec.crons))
        request = cron_request(spec.crons[0].args)
    # Read only the secrets of this function; those of others may be missing on this machine.
    values = read_secret_values(replace(project, functions=(spec,)), environ)
    on_line = (lambda _: None) if common.output.as_json else common.output.message
    return invoke_local(project, spec, request, values, on_line)


def _warn_about_missing_package(common: CommonOptions, answer: InvocationResult) -> None:
    """Warn if the handler failed to import a package that this Python interpreter lacks.

    A local invocation uses the installed packages; a deploy bundles the project's requirements.
    """
    missing = _MISSING_MODULE.search(answer.response.body)
    if answer.response.status == _FIRST_SERVER_ERROR and missing is not None:
        common.output.warning(
            f"{missing.group(1).decode()} is not installed for {sys.executable}. Install the project's "
            "requirements there, or run the deployed function: `fnkit deploy --local`, then "
            "`fnkit invoke --remote --local`."
        )


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
