"""Invokes one handler locally, in a child process, by the rules of the platform's data plane.

1. **Check**: reject what the platform rejects before it calls a handler (``/favicon.ico``, a body too large).
2. **Build** the event and the context, as the gateway does.
3. **Run** a worker, send it the event, and wait: for Python with this interpreter and its installed packages, for
   Node and PHP with the interpreter on ``PATH``, or the Node that is installed beside fnkit.
4. **Map** the worker's response to the client's response, as the gateway does.

The environment holds only the variables of the function. The working directory is an empty directory, as on the
platform, so that a handler that opens a file by a path relative to its project fails here too.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

from fnkit import worker
from fnkit.contract.distribution import extra_install_hint
from fnkit.contract.invocation.environment import EnvironmentSpec, instance_environment
from fnkit.contract.invocation.event import build_context, build_event, decode_path
from fnkit.contract.invocation.response import MappedResponse, immediate_response, map_failure, map_response
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import InvokeError, UsageError
from fnkit.invoke.model import InvocationRequest, InvocationResult
from fnkit.packaged_programs import find_packaged_program
from fnkit.project import FunctionSpec, Project
from fnkit.worker.interpreters import INTERPRETERS

_WORKER: Final = Path(worker.__file__).parent
_LAUNCH: Final = _WORKER / "python" / "launch.py"
_START_TIMEOUT: Final = 60.0
_END_OF_HEADERS: Final = b"\r\n\r\n"
_NANOSECONDS: Final = 1_000_000_000


def invoke_local(
    project: Project,
    spec: FunctionSpec,
    request: InvocationRequest,
    secret_values: Mapping[str, str],
    on_line: Callable[[str], None],
) -> InvocationResult:
    """Invoke a handler once.

    Args:
        project: The project, for its root directory and the environment of its namespace.
        spec: The function to invoke.
        request: The request to send.
        secret_values: The value of each secret of the namespace and the function.
        on_line: Called with each line that the handler prints, as it is printed, from another thread.

    Raises:
        InvokeError: The language of the function does not run locally, or the process could not be started.
        UsageError: The request path is invalid.
    """
    runtime = find_runtime(spec.runtime)
    language = runtime.language if runtime is not None else ""
    command = _find_command(spec, language)
    path, _, query = request.target.partition("?")
    try:
        path = decode_path(path)
    except ValueError as error:
        raise UsageError(f"The request path is invalid: {error}.", code="bad-path") from None
    environment = {
        **project.namespace.env,
        **spec.env,
        **{name: secret_values[name] for name in (*project.namespace.secrets, *spec.secrets)},
    }
    trigger = dict(request.headers).get("SCW_TRIGGER_TYPE", "")
    rejection = immediate_response(path, len(request.body), trigger, environment.get("SCW_ALLOW_FAVICON", ""))
    if rejection is not None:
        return InvocationResult(response=rejection, duration_ms=0.0, logs=())
    event = build_event(method=request.method, path=path, query=query, headers=request.headers, body=request.body)
    call = {
        "event": {**event, **request.event},
        "context": build_context(memory_limit=spec.memory, function_name=spec.name),
    }
    return _invoke_in_worker(spec, command, language, project.root / spec.root, environment, call, on_line)


def _find_command(spec: FunctionSpec, language: str) -> list[str]:
    """Return the command of an interpreter; empty for Python.

    Raises:
        InvokeError: There is no interpreter for the language, or none on ``PATH``.
    """
    if language == "Python":
        return []
    interpreter = INTERPRETERS.get(language)
    if interpreter is None:
        raise InvokeError(
            f"{spec.name} uses the runtime {spec.runtime}, whose functions are compiled first.",
            code="language-not-here",
            hint=f"Run `fnkit deploy --local`, then `fnkit invoke {spec.name} --remote --local`.",
        )
    program = shutil.which(interpreter.name) or (find_packaged_program("node") if language == "Node" else None)
    if program is None:
        extra = f", or {extra_install_hint('node')}" if language == "Node" else ""
        raise InvokeError(
            f"{spec.name} uses the runtime {spec.runtime}, and there is no {interpreter.name} on PATH.",
            code="language-not-here",
            hint=f"Install {language}{extra}.",
        )
    return [os.path.realpath(program), *interpreter.options(spec.memory)]


def _invoke_in_worker(
    spec: FunctionSpec,
    command: list[str],
    language: str,
    root: Path,
    environment: Mapping[str, str],
    payload: Mapping[str, object],
    on_line: Callable[[str], None],
) -> InvocationResult:
    logs: list[str] = []

    def record_line(line: str) -> None:
        logs.append(line)
        on_line(line)

    with (
        tempfile.TemporaryDirectory(prefix="fnkit-invoke-") as home,
        socket.create_server(("127.0.0.1", 0), backlog=8) as listener,
    ):
        token = secrets.token_hex(32)
        variables = EnvironmentSpec(
            name=spec.name,
            handler=spec.handler,
            language=language,
            memory=spec.memory,
            privacy=spec.privacy,
            variables=environment,
        )
        interpreter = INTERPRETERS.get(language)
        settings = {
            "command": command,
            "source": str(_WORKER / interpreter.source) if interpreter is not None else "",
            "file": PurePosixPath(interpreter.path).name if interpreter is not None else "",
            "port": listener.getsockname()[1],
            "token": token,
            "home": home,
            "root": str(root),
            "handler": spec.handler,
            "environment": instance_environment(variables, home=home, root=str(root)),
        }
        child = _start_worker(settings)
        reader = threading.Thread(target=_read_lines, args=(child.stdout, record_line), daemon=True)
        reader.start()
        try:
            with _accept_worker(listener, token, child) as connection:
                response, milliseconds = _send_request(connection, payload, spec)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=1.0)  # exit handlers may print lines too
        finally:
            child.kill()
            child.wait()
            # A process that the handler started may keep the pipe open, so end of file may never come. Lines
            # printed until now are enough.
            reader.join(timeout=1.0)
    return InvocationResult(response=response, duration_ms=milliseconds, logs=tuple(logs))


def _start_worker(settings: Mapping[str, object]) -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            [sys.executable, "-P", str(_LAUNCH), "local"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise InvokeError(
            f"The handler's process could not be started: {error.strerror}.", code="invoke-start"
        ) from None
    if child.stdin is not None:
        with child.stdin:
            child.stdin.write(json.dumps(settings).encode())
    return child


def _accept_worker(listener: socket.socket, token: str, child: subprocess.Popen[bytes]) -> socket.socket:
    """Accept the connection of the child.

    Any local process can connect to the port, so a connection counts only if it starts with the token. The short
    timeouts let the loop notice that the child has exited, and keep a silent stranger from blocking it.
    """
    listener.settimeout(0.1)
    deadline = time.monotonic() + _START_TIMEOUT
    while child.poll() is None and time.monotonic() < deadline:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(1.0)
        try:
            received = _receive_exactly(connection, len(token))
        except OSError:
            received = b""
        if secrets.compare_digest(received, token.encode()):
            return connection
        connection.close()
    raise InvokeError("The handler's process exited before it accepted a request.", code="invoke-start")


def _send_request(
    connection: socket.socket, payload: Mapping[str, object], spec: FunctionSpec
) -> tuple[MappedResponse, float]:
    """Wait until the handler is imported, send the request, and read the response.

    The function's timeout starts when the request is sent, as on the platform; the import has a limit of its own.

    Returns:
        The mapped response, and the milliseconds that it took.
    """
    connection.settimeout(_START_TIMEOUT)
    if not _receive_until(connection, b"\n")[0]:
        return map_failure("the process exited while it imported the handler"), 0.0
    body = json.dumps(payload).encode()
    started_at = time.perf_counter()
    timeout = spec.timeout / _NANOSECONDS
    connection.settimeout(timeout)
    try:
        connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head, rest = _receive_until(connection, _END_OF_HEADERS)
        response = _read_response(connection, head, rest)
    except TimeoutError:
        text = f"{spec.name} did not answer within {timeout:g} s"
        response = map_response(504, (("Content-Type", "text/plain; charset=utf-8"),), text.encode())
    except OSError:
        response = map_failure("the process exited before it responded")
    return response, round((time.perf_counter() - started_at) * 1000, 3)


def _read_response(connection: socket.socket, head: bytes, received: bytes) -> MappedResponse:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = int(dict(headers)["content-length"])
    content = received + _receive_exactly(connection, length - len(received))
    status = int(status_line.split(" ")[1])
    if status == 500:  # noqa: PLR2004 - the worker's status for a handler that raised
        return map_failure(content.decode(errors="replace"))
    kept = [header for header in headers if header[0] != "content-length"]
    return map_response(status, kept, content)


def _receive_until(connection: socket.socket, delimiter: bytes) -> tuple[bytes, bytes]:
    """Receive up to a delimiter; return the bytes before it and those received after it.

    Raises:
        ConnectionError: The connection closed before the delimiter.
    """
    buffer = b""
    while delimiter not in buffer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("closed")
        buffer += received
    before, _, after = buffer.partition(delimiter)
    return before, after


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        received = connection.recv(size - len(content))
        if not received:
            raise ConnectionError("closed")
        content += received
    return bytes(content)


def _read_lines(stream: IO[bytes] | None, on_line: Callable[[str], None]) -> None:
    if stream is None:
        return
    with stream:
        for line in stream:
            on_line(line.decode(errors="replace").rstrip("\r\n"))
