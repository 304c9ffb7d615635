"""Invokes one handler locally, in a child process, by the rules of the platform's data plane.

1. **Check**: reject what the platform rejects before it calls a handler (``/favicon.ico``, a body too large).
2. **Build** what the handler gets, as the gateway does: event and context, or for Go and Rust the request itself.
3. **Run** a worker in the environment of the function, send it the request, and wait.
4. **Map** the worker's response to the client's response, as the gateway does.

The environment variables are those of the function. The working directory is an empty directory, as on the
platform, so that a handler that opens a file by a path relative to its project fails here too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit import worker
from fnkit.contract.invocation.environment import EnvironmentSpec, instance_environment
from fnkit.contract.invocation.event import build_context, build_event, decode_path
from fnkit.contract.invocation.native_request import NATIVE_LANGUAGES, encode_native_head, native_text
from fnkit.contract.invocation.response import (
    MappedResponse,
    immediate_response,
    map_failure,
    map_handler_error,
    map_response,
)
from fnkit.environments.model import HandlerEnvironment
from fnkit.errors import UsageError
from fnkit.invoke.early_start import HandlerStart
from fnkit.invoke.handler_connection import HandlerConnection, HandlerProcessEnded
from fnkit.invoke.handler_process import LineCallback
from fnkit.invoke.model import InvocationRequest, InvocationResult
from fnkit.project import FunctionSpec, Project
from fnkit.worker.interpreters import INTERPRETERS

_WORKER: Final = Path(worker.__file__).parent
_NANOSECONDS: Final = 1_000_000_000
_HANDLER_FAILED: Final = 500
"""The worker's status for a handler that raised."""


def invoke_local(
    project: Project,
    spec: FunctionSpec,
    request: InvocationRequest,
    secret_values: Mapping[str, str],
    environment: HandlerEnvironment,
    start: HandlerStart,
    *,
    on_line: LineCallback | None,
    has_timeout: bool = True,
) -> InvocationResult:
    """Invoke a handler once.

    Args:
        project: The project, for the environment variables of its namespace.
        spec: The function to invoke.
        request: The request to send.
        secret_values: The value of each secret of the namespace and the function.
        environment: What runs the handler.
        start: Its process, which may run already. If it has the terminal, the result has no lines.
        on_line: Called with each line that the handler prints, as it is printed, from another thread.
        has_timeout: Whether the timeout of the function applies.

    Raises:
        InvokeError: The process could not be started.
        UsageError: The request path is invalid.
    """
    path, _, query = request.target.partition("?")
    try:
        path = decode_path(path)
    except ValueError as error:
        raise UsageError(f"The request path is invalid: {error}.", code="bad-path") from None
    variables = {
        **project.namespace.env,
        **spec.env,
        **{name: secret_values[name] for name in (*project.namespace.secrets, *spec.secrets)},
    }
    trigger = dict(request.headers).get("SCW_TRIGGER_TYPE", "")
    rejection = immediate_response(path, len(request.body), trigger, variables.get("SCW_ALLOW_FAVICON", ""))
    if rejection is not None:
        return InvocationResult(response=rejection, duration_ms=0.0, logs=())
    document = _encode_request(spec, request, path, query, is_native=environment.language in NATIVE_LANGUAGES)
    logs: list[str] = []

    def record_line(line: str) -> None:
        logs.append(line)
        if on_line is not None:
            on_line(line)

    settings = _worker_settings(project, spec, environment, variables, start.home)
    timeout = spec.timeout / _NANOSECONDS if has_timeout else None
    memory_bytes = None
    try:
        with start.connect(environment.python, settings, record_line) as connection:
            response, milliseconds = _call(connection, document, spec.name, timeout)
            memory_bytes = start.peak_memory()
    except HandlerProcessEnded as ended:
        response, milliseconds = map_failure(str(ended)), 0.0
    return InvocationResult(
        response=response, duration_ms=milliseconds, logs=tuple(logs), memory_bytes=memory_bytes
    )


def _encode_request(
    spec: FunctionSpec, request: InvocationRequest, path: str, query: str, *, is_native: bool
) -> bytes:
    """Return what the worker gets. Fields of an event that no request has are for handlers with events only."""
    if is_native:
        head = encode_native_head(method=request.method, path=path, query=query, headers=request.headers)
        return head + native_text(request.body)
    event = build_event(method=request.method, path=path, query=query, headers=request.headers, body=request.body)
    context = build_context(memory_limit=spec.memory, function_name=spec.name)
    return json.dumps({"event": {**event, **request.event}, "context": context}).encode()


def _worker_settings(
    project: Project,
    spec: FunctionSpec,
    environment: HandlerEnvironment,
    variables: Mapping[str, str],
    home: str,
) -> dict[str, object]:
    interpreter = INTERPRETERS.get(environment.language)
    root = str(environment.root)
    described = EnvironmentSpec(
        name=spec.name,
        handler=spec.handler,
        language=environment.language,
        memory=spec.memory,
        privacy=spec.privacy,
        variables=variables,
    )
    return {
        "command": environment.command,
        "is_server": environment.is_server,
        "source": str(_WORKER / interpreter.source) if interpreter is not None else "",
        "file": PurePosixPath(interpreter.path).name if interpreter is not None else "",
        "home": home,
        "root": root,
        "entries": str(environment.entries or ""),
        "included": dict(environment.included),
        "handler": spec.handler,
        "user_handler": spec.user_handler,
        "environment": instance_environment(described, home=home, root=root),
        "secrets": sorted({*project.namespace.secrets, *spec.secrets}),
        "preload": spec.preload,
    }


def _call(
    connection: HandlerConnection, document: bytes, name: str, timeout: float | None
) -> tuple[MappedResponse, float]:
    """Call the handler; return the mapped response, and the milliseconds that it took."""
    started_at = time.perf_counter()
    try:
        status, headers, body = connection.send(document, timeout)
    except TimeoutError:
        text = f"{name} did not answer within {timeout:g} s"
        response = map_response(504, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())
    except HandlerProcessEnded as ended:
        response = map_failure(str(ended))
    else:
        response = _map(status, headers, body)
    return response, round((time.perf_counter() - started_at) * 1000, 3)


def _map(status: int, headers: list[tuple[str, str]], body: bytes) -> MappedResponse:
    if status == _HANDLER_FAILED:
        lowered = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return map_handler_error(lowered, body)
    return map_response(status, headers, body)
