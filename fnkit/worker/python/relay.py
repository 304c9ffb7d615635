"""Relays requests to a program that serves HTTP on ``$PORT``: a function in Go or Rust with a ``main`` of its own.

The program is a child of this process, which has the same sandbox, and listens on a free port of the loopback
interface. One request at a time is sent to it, each over a connection of its own, so that nothing that it sends
later can become the response to another request. Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import subprocess
import threading
import time
import typing

from . import serve

_POLL_SECONDS = 0.005
_NOT_RELAYED = ("connection", "content-length", "date", "keep-alive", "transfer-encoding")
_OWN_PREFIX = "fnkit-"
_ENDED = b'Post "http://127.0.0.1:8081/": EOF'


def run(command: list[str], connection: socket.socket, environment: dict[str, str]) -> int:
    """Start a program and relay requests to it until the other end closes.

    Args:
        command: The program and its arguments.
        connection: The instance's socket.
        environment: The environment of the instance.

    Returns:
        The exit code of this process: that of the program if it has exited.

    Raises:
        OSError: The program cannot be executed.
    """
    port = _find_port()
    process = subprocess.Popen(command, env={**environment, "PORT": str(port)}, stdin=subprocess.DEVNULL)
    if not _wait_until_listening(process, port):
        serve.send_status(connection, {"error": f"the program ended before it listened on port {port}"})
        return _exit_code(process)
    # Its end must end this process, also while no request is in progress.
    threading.Thread(target=lambda: os._exit(_exit_code(process)), daemon=True).start()
    serve.send_status(connection, {"ready": True})
    reader = serve.RequestReader(connection)
    while True:
        request = reader.next_request()
        if request is None:
            process.kill()
            return 0
        _relay(connection, port, request, reader.nonce_line)


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether the program listens; ``False`` if it has ended. Its start is limited from outside."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return False


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    code = process.wait()
    return code if code >= 0 else 128 - code


def _relay(connection: socket.socket, port: int, request: bytes, nonce_line: bytes) -> None:
    """Send one request to the program, and its response to the socket of the instance."""
    method, target, headers, body = _parse(request)
    program = http.client.HTTPConnection("127.0.0.1", port)
    try:
        program.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        program.putheader("Host", "127.0.0.1")
        for name, value in headers:
            program.putheader(name, value)
        program.putheader("Content-Length", str(len(body)))
        program.putheader("Connection", "close")
        program.endheaders(body)
        response = program.getresponse()
        content = response.read()
        _send(connection, response.status, response.getheaders(), content, nonce_line)
    except (OSError, http.client.HTTPException):  # it has closed the connection: its handler panicked
        _send(connection, 500, [("fnkit-handler-panicked", "1")], _ENDED, nonce_line)
    finally:
        with contextlib.suppress(OSError):
            program.close()


def _parse(request: bytes) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Return method, target, headers and body of a request message."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(": ") for line in lines)
    headers = [(name, value) for name, _, value in pairs if name.lower() != "content-length"]
    return method, target, headers, body


def _send(
    connection: socket.socket,
    status: int,
    headers: typing.Iterable[tuple[str, str]],
    body: bytes,
    nonce_line: bytes,
) -> None:
    lines = [f"HTTP/1.1 {status} -"]
    for name, value in headers:
        lowered = name.lower()
        if lowered in _NOT_RELAYED or (lowered.startswith(_OWN_PREFIX) and body is not _ENDED):
            continue
        lines.append(f"{name}: {value}")
    lines.append(f"content-length: {len(body)}")
    connection.sendall("\r\n".join(lines).encode("latin-1", "replace") + nonce_line + b"\r\n\r\n" + body)


def main(arguments: list[str]) -> None:
    """Relay requests to a program. The arguments are the descriptor of the instance's socket, and its command."""
    connection = socket.socket(fileno=int(arguments[0]))
    try:
        code = run(arguments[1:], connection, dict(os.environ))
    except (EOFError, OSError) as error:  # the program cannot be executed, or the other end is gone
        with contextlib.suppress(OSError):
            serve.send_status(connection, {"error": f"{type(error).__name__}: {error}"})
        code = 1
    os._exit(code)
