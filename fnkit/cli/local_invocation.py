"""One handler called here: in a child process, by the data plane's rules, with the project's environment.

1. **Refuse** what the platform answers by itself (``/favicon.ico``, too large a body).
2. **Build** the event and the context, as the gateway does.
3. **Run** an instance with this Python and its installed packages; hand it the event; wait for the answer.
4. **Map** the answer to the client's response, as the gateway does.

Its environment is the function's and nothing else; its working directory is an empty folder, as on the
platform: a handler that needs a file beside it uses ``__file__`` here as there.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from fnkit.contract.invocation import (
    MappedResponse,
    build_context,
    build_event,
    decode_path,
    map_failure,
    map_response,
    refusal,
)
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import InvokeError, UsageError
from fnkit.platform.engine.environment import instance_environment
from fnkit.platform.routing import Route
from fnkit.project import FunctionSpec, Project

__all__ = ["Answer", "Request", "invoke_here"]

_START_SECONDS: Final = 60.0
_HEAD_END: Final = b"\r\n\r\n"
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the handler is asked. ``target`` is the path with its query; ``event`` replaces what no request says."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    event: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client would get, how long the handler took in milliseconds, and what it printed."""

    response: MappedResponse
    duration_ms: float
    logs: tuple[str, ...]


def invoke_here(
    project: Project,
    spec: FunctionSpec,
    request: Request,
    secret_values: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Answer:
    """Call the handler once; ``on_line`` gets each line that it prints, as it prints it.

    Raises:
        InvokeError: its language does not run here, or its process could not be started.
        UsageError: the path is none.
    """
    runtime = find_runtime(spec.runtime)
    if runtime is None or runtime.language != "Python":
        raise InvokeError(
            f"{spec.name} is for {spec.runtime}, and only Python handlers are run here.",
            code="language-not-here",
            hint=f"Deploy it with `fnkit deploy --local`, then `fnkit invoke {spec.name} --remote --local`.",
        )
    path, _, query = request.target.partition("?")
    try:
        path = decode_path(path)
    except ValueError as error:
        raise UsageError(f"This path cannot be asked for: {error}.", code="bad-path") from None
    environment = {
        **project.namespace.env,
        **spec.env,
        **{name: secret_values[name] for name in (*project.namespace.secrets, *spec.secrets)},
    }
    trigger = dict(request.headers).get("SCW_TRIGGER_TYPE", "")
    refused = refusal(path, len(request.body), trigger, environment.get("SCW_ALLOW_FAVICON", ""))
    if refused is not None:
        plain = (("Content-Type", "text/plain; charset=utf-8"),)
        response = map_response(refused.status, plain, refused.text.encode())
        return Answer(response=response, duration_ms=0.0, logs=())
    event = build_event(method=request.method, path=path, query=query, headers=request.headers, body=request.body)
    call = {
        "event": {**event, **request.event},
        "context": build_context(memory_limit=spec.memory, function_name=spec.name),
    }
    return _run(spec, project.root / spec.root, environment, call, on_line)


def _run(
    spec: FunctionSpec,
    root: Path,
    environment: Mapping[str, str],
    call: Mapping[str, object],
    on_line: Callable[[str], None],
) -> Answer:
    logs: list[str] = []

    def keep(line: str) -> None:
        logs.append(line)
        on_line(line)

    with (
        tempfile.TemporaryDirectory(prefix="fnkit-invoke-") as home,
        socket.create_server(("127.0.0.1", 0), backlog=8) as door,
    ):
        token = secrets.token_hex(32)
        settings = {
            "port": door.getsockname()[1],
            "token": token,
            "home": home,
            "root": str(root),
            "handler": spec.handler,
            "environment": instance_environment(_route(spec, root, environment), home=home, root=str(root)),
        }
        child = _start(settings)
        listening = threading.Thread(target=_listen, args=(child.stdout, keep), daemon=True)
        listening.start()
        try:
            with _accept(door, token, child) as connection:
                response, milliseconds = _exchange(connection, call, spec)
            _let_end(child)
        finally:
            child.kill()
            child.wait()
            # What the handler left running may hold its output open; what is printed by now is what counts.
            listening.join(timeout=1.0)
    return Answer(response=response, duration_ms=milliseconds, logs=tuple(logs))


def _start(settings: Mapping[str, object]) -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "fnkit.cli.instance"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise InvokeError(f"No process could be started: {error.strerror}.", code="invoke-start") from None
    if child.stdin is not None:
        with child.stdin:
            child.stdin.write(json.dumps(settings).encode())
    return child


def _accept(door: socket.socket, token: str, child: subprocess.Popen[bytes]) -> socket.socket:
    """Wait for the child; whoever else knocks does not know the token."""
    door.settimeout(0.1)
    deadline = time.monotonic() + _START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            connection, _ = door.accept()
        except TimeoutError:
            continue
        connection.settimeout(1.0)
        try:
            said = _receive(connection, len(token))
        except OSError:
            said = b""
        if secrets.compare_digest(said, token.encode()):
            return connection
        connection.close()
    raise InvokeError("The handler's process ended before it could be asked.", code="invoke-start")


def _exchange(
    connection: socket.socket, call: Mapping[str, object], spec: FunctionSpec
) -> tuple[MappedResponse, float]:
    """Wait until the module is imported, ask, and map the answer; the timeout counts from the asking."""
    connection.settimeout(_START_SECONDS)
    if not _until(connection, b"\n")[0]:
        return map_failure("the process ended while the handler was imported"), 0.0
    body = json.dumps(call).encode()
    began = time.perf_counter()
    timeout = spec.timeout / _NANOSECONDS
    connection.settimeout(timeout)
    try:
        connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head, rest = _until(connection, _HEAD_END)
        response = _mapped(connection, head, rest)
    except TimeoutError:
        text = f"{spec.name} did not answer within {timeout:g} s"
        response = map_response(504, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())
    except OSError:
        response = map_failure("the process ended before it answered")
    return response, round((time.perf_counter() - began) * 1000, 3)


def _mapped(connection: socket.socket, head: bytes, rest: bytes) -> MappedResponse:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(dict(headers)["content-length"])
    content = rest + _receive(connection, length - len(rest))
    status = int(status_line.split(" ")[1])
    if status == 500:  # noqa: PLR2004 - the bridge's one way to say that the handler raised
        return map_failure(content.decode(errors="replace"))
    kept = [header for header in headers if header[0] != "content-length"]
    return map_response(status, kept, content)


def _until(connection: socket.socket, mark: bytes) -> tuple[bytes, bytes]:
    """What comes before the mark and what was read behind it; ``ConnectionError`` when it never comes."""
    buffer = b""
    while mark not in buffer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("closed")
        buffer += received
    before, _, after = buffer.partition(mark)
    return before, after


def _receive(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        received = connection.recv(size - len(content))
        if not received:
            raise ConnectionError("closed")
        content += received
    return bytes(content)


def _let_end(child: subprocess.Popen[bytes]) -> None:
    """Give it a moment: what it prints at its end belongs to its logs."""
    try:
        child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return


def _listen(stream: IO[bytes] | None, keep: Callable[[str], None]) -> None:
    if stream is None:
        return
    with stream:
        for line in stream:
            keep(line.decode(errors="replace").rstrip("\r\n"))


def _route(spec: FunctionSpec, root: Path, environment: Mapping[str, str]) -> Route:
    """The deployment that this call pretends to be: what the environment is computed from."""
    return Route(
        function_id="",
        generation=0,
        name=spec.name,
        namespace_id="",
        region="",
        project_id="",
        hosts=(),
        path_prefix="",
        runtime=spec.runtime,
        language="Python",
        interpreter=sys.executable,
        code=str(root),
        handler=spec.handler,
        memory=spec.memory,
        cpu=0,
        timeout=spec.timeout / _NANOSECONDS,
        min_scale=0,
        max_scale=1,
        privacy=spec.privacy,
        http_option=spec.http_option,
        sandbox=spec.sandbox,
        environment=dict(environment),
    )
