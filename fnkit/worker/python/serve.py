"""Serves requests in one instance: imports the handler, reports readiness, answers one request at a time.

Standard library only, Python 3.8 and later. The zygotes import this module. An instance that is a fresh process
reads it from its standard input, as no path leads to it, and has the arguments ``CONNECTION HANDLER ROOT``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import re
import site
import socket
import struct
import sys
import time
import traceback
import types
import typing

LENGTH_PREFIX = struct.Struct("!I")
HANDLER_NOT_FOUND = (
    "Function Handler does not exist, check that you provided the right HANDLER parameter "
    "(path to your module with exported function to use), check your function logs"
)
IMPORT_ERROR_MAX_CHARACTERS = 2000
REASON_PHRASES = {200: b"OK", 500: b"Internal Server Error"}
PROGRAM_PATH = "/home/app/index.py"
"""The program of an instance, as on the real platform. Here it is empty, and exists in roots of their own only."""


class HandlerNotFound(Exception):
    """The handler's file does not exist, or has no such function."""


def receive_document(connection: socket.socket) -> dict[str, typing.Any]:
    """Read one length-prefixed JSON document; return ``{}`` if it is no JSON object.

    Raises:
        EOFError: The data plane closed the socket.
    """
    length = LENGTH_PREFIX.unpack(receive_exactly(connection, LENGTH_PREFIX.size))[0]
    document = json.loads(receive_exactly(connection, length))
    return document if isinstance(document, dict) else {}


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Read exactly ``size`` bytes.

    Raises:
        EOFError: The other end closed the socket before.
    """
    parts = []
    while size:
        part = connection.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def send_status(connection: socket.socket, status: dict[str, object]) -> None:
    """Send one JSON line, the result of a startup."""
    connection.sendall(json.dumps(status).encode() + b"\n")


def open_standard_streams() -> None:
    """Set ``sys.stdin``, ``stdout`` and ``stderr`` to descriptors 0, 1 and 2, as a fresh interpreter would."""
    # The streams that the zygote opened refer to its own descriptors and buffers. Write-through: a line is in the
    # pipe, and so in the log, before the response of its request is.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (it stays open as long as the process)
    for name, standard in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(standard, "wb", closefd=False)
        text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def add_site_builtins() -> None:
    """Define ``exit``, ``quit`` and the other builtins of ``site``, which ``-S`` leaves out."""
    site.setquit()
    site.setcopyright()
    site.sethelper()


def present_program() -> None:
    """Show the program of the real platform in ``sys`` and as ``__main__``, instead of the worker."""
    module = types.ModuleType("__main__")
    if os.path.exists(PROGRAM_PATH):  # child processes of multiprocessing import it
        module.__file__ = PROGRAM_PATH
    sys.modules["__main__"] = module
    sys.argv[:] = [PROGRAM_PATH]
    with contextlib.suppress(AttributeError):  # Python 3.10
        sys.orig_argv[:] = [sys.executable, PROGRAM_PATH]


def apply_environment(environment: dict[str, str]) -> None:
    """Replace the environment of Python and of the C library, and apply its time zone."""
    os.environ.clear()
    os.environ.update(environment)
    # The C library reads TZ once; the zygote may have read it already.
    if "TZ" in environment:
        time.tzset()


def serve_fresh(connection: str, handler: str, root: str) -> None:
    """Run an instance in a new interpreter. Never returns.

    Args:
        connection: The descriptor of the instance's socket.
        handler: The handler as ``dir/file.name``.
        root: The directory of the function's code.
    """
    null_device = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_device, 0)
    os.close(null_device)
    present_program()
    open_standard_streams()
    add_site_builtins()
    code = 1
    # Held until the end: who sees it close before this process has exited kills the process.
    own_connection = socket.socket(fileno=int(connection))
    try:
        code = serve(own_connection, {"handler": handler, "root": root})
    except (EOFError, OSError):
        pass  # the data plane let go of us
    finally:
        os._exit(code)


def module_search_path(handler: str, root: str) -> list[str]:
    """Return ``sys.path`` for a handler: its root, its packages, the standard library, then its own directory."""
    relative_directory = handler.rpartition(".")[0].rpartition("/")[0]
    added = [root, os.path.join(root, "package")]
    directory = os.path.join(root, relative_directory) if relative_directory else root
    return [*added, *(entry for entry in sys.path if entry not in (*added, directory)), directory]


def serve(connection: socket.socket, settings: dict[str, typing.Any]) -> int:
    """Import the handler, report readiness and answer requests until the other end closes.

    An import that fails is not an error here: each request is then answered with 500 and the message, as on the
    real platform. The report of readiness has the end of its traceback as ``import_error``.

    Args:
        connection: The instance's socket.
        settings: ``handler`` and ``root``.

    Returns:
        The exit code of the process.
    """
    handler, failure, exit_code = None, "", None
    status = {"ready": True}  # type: dict[str, object]
    own_pid = os.getpid()
    try:
        handler = load_handler(settings["handler"], settings["root"])
    except SystemExit as error:
        failure = f"SystemExit: {error}"
        status["import_error"] = print_traceback()[-IMPORT_ERROR_MAX_CHARACTERS:]
    except BaseException as error:
        failure = error_message(error)
        status["import_error"] = print_traceback()[-IMPORT_ERROR_MAX_CHARACTERS:]
    exit_if_forked(own_pid)
    send_status(connection, status)
    reader = RequestReader(connection)
    while exit_code is None:
        request = reader.next_request()
        if request is None:
            return 0
        if handler is None:
            send_response(
                connection, 500, "text/plain; charset=utf-8", failure.encode("utf-8", "replace"), reader.nonce_line
            )
        else:
            exit_code = respond(connection, handler, request, reader.nonce_line)
    return exit_code


def exit_if_forked(own_pid: int) -> None:
    """Exit if the handler forked and the child process returned here; only process ``own_pid`` answers."""
    if os.getpid() != own_pid:
        os._exit(0)


def print_traceback() -> str:
    """Print the current traceback to the function's log, without the worker's own frames, and return it."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename in (
        print_traceback.__code__.co_filename,
        "<frozen importlib._bootstrap>",
        "<frozen importlib._bootstrap_external>",
    ):
        trace = trace.tb_next
    text = error_message(error) if error is not None else ""
    with contextlib.suppress(Exception):  # the handler may have closed its stderr
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(text)
    return text


def error_message(error: BaseException) -> str:
    """Return the message of an exception, or its class name if it has none."""
    try:
        # The user's __str__ may raise.
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def load_handler(handler: str, root: str) -> typing.Callable[[object, object], object]:
    """Return the function that ``dir/file.name`` refers to, imported under its bare file name.

    Raises:
        HandlerNotFound: The module or the function does not exist.
    """
    location, _, name = handler.rpartition(".")
    relative_directory, _, module_name = location.rpartition("/")
    directory = os.path.join(root, relative_directory) if relative_directory else root
    sys.path[:] = module_search_path(handler, root)
    path = os.path.join(directory, module_name + ".py")
    if os.path.isfile(path):
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise HandlerNotFound(HANDLER_NOT_FOUND)
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    else:
        if not module_name or importlib.util.find_spec(module_name) is None:
            raise HandlerNotFound(HANDLER_NOT_FOUND)
        module = importlib.import_module(module_name)
    found = getattr(module, name, None)
    if not callable(found):
        raise HandlerNotFound(HANDLER_NOT_FOUND)
    return found  # type: ignore[no-any-return]  # callable() does not narrow the result


class RequestReader:
    """Reads requests from the data plane, which always declares the length of a body.

    Attributes:
        nonce_line: The header line with the nonce of the current request, to be repeated in its response. Empty if
            the client sent none.
    """

    _framing_pattern = re.compile(rb"(\r\nfnkit-request: \w+)?\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""
        self.nonce_line = b""

    def next_request(self) -> bytes | None:
        """Return the body of the next request, or ``None`` when the connection is closed."""
        while b"\r\n\r\n" not in self.buffer:
            received = self.connection.recv(65536)
            if not received:
                return None
            self.buffer += received
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        found = self._framing_pattern.search(head + b"\r\n")
        nonce_line, size = found.groups() if found else (b"", 0)
        self.nonce_line, size = nonce_line or b"", int(size)
        missing = size - len(rest)
        if missing > 0:
            self.buffer = b""
            return rest + receive_exactly(self.connection, missing)
        self.buffer = rest[size:]
        return rest[:size]


def respond(
    connection: socket.socket, handler: typing.Callable[[object, object], object], request: bytes, nonce_line: bytes
) -> int | None:
    """Call the handler and send its response.

    Returns:
        An exit code if the handler asked the process to exit, else ``None``.
    """
    exit_code, own_pid = None, os.getpid()
    try:
        call = json.loads(request)
        status, kind, body = encode_result(handler(call["event"], call["context"]))
    except SystemExit as error:
        status, kind, body = 500, "text/plain; charset=utf-8", f"SystemExit: {error}".encode("utf-8", "replace")
        exit_code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException as error:
        status, kind, body = 500, "text/plain; charset=utf-8", error_message(error).encode("utf-8", "replace")
        print_traceback()
    exit_if_forked(own_pid)
    send_response(connection, status, kind, body, nonce_line, is_last=exit_code is not None)
    return exit_code


def encode_result(result: object) -> tuple[int, str, bytes]:
    """Return status, content type and body for a handler's return value.

    A ``str`` is sent unchanged, anything else as JSON in Flask's format: sorted keys, compact, one final newline.
    """
    if isinstance(result, str):
        return 200, "text/html; charset=utf-8", result.encode()
    try:
        text = json.dumps(result, separators=(",", ":"), sort_keys=True)
    except TypeError:
        text = json.dumps(result, separators=(",", ":"))  # keys of mixed types cannot be sorted
    return 200, "application/json", text.encode() + b"\n"


def send_response(
    connection: socket.socket,
    status: int,
    content_type: str,
    body: bytes,
    nonce_line: bytes,
    *,
    is_last: bool = False,
) -> None:
    """Send the response to the request with this nonce.

    The nonce is the last header: the data plane caches response heads by the bytes before it. ``last`` adds
    ``connection: close``, which tells the data plane that the process is about to exit.
    """
    head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d%s%s\r\n\r\n"
    end = b"\r\nconnection: close" if is_last else b""
    connection.sendall(
        head % (status, REASON_PHRASES[status], content_type.encode(), len(body), end, nonce_line) + body
    )


if __name__ == "__main__":
    serve_fresh(*sys.argv[1:])
