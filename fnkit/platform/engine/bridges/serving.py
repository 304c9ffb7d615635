"""What a Python instance does once its walls stand: import the handler, say so, answer one request at a time.

Standard library of Python 3.8 and later. Imported by the zygotes (``bridges/python.py``), or, for an instance that
is a fresh process, read from a descriptor and run as a program: ``SOURCE CONNECTION HANDLER ROOT`` (``FRESH``).
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
import typing

LENGTH = struct.Struct("!I")
MISSING = (
    "Function Handler does not exist, check that you provided the right HANDLER parameter "
    "(path to your module with exported function to use), check your function logs"
)
REASONS = {200: b"OK", 500: b"Internal Server Error"}
FRESH = (
    "import sys\n"
    "with open(int(sys.argv[1]), 'rb') as bridge: source = bridge.read()\n"
    "space = {'__name__': 'fnkit', '__file__': '<fnkit>'}\n"
    "exec(compile(source, '<fnkit>', 'exec'), space)\n"
    "space['serve_afresh'](*sys.argv[2:])\n"
)
"""The program of an instance that is forked from nobody: it reads this file where no path leads to it."""


class HandlerMissing(Exception):
    """There is no such file, or no such function in it."""


def receive_document(connection: socket.socket) -> dict[str, typing.Any]:
    """Read one JSON document of the start."""
    length = LENGTH.unpack(receive(connection, LENGTH.size))[0]
    document = json.loads(receive(connection, length))
    return document if isinstance(document, dict) else {}


def receive(connection: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes; ``EOFError`` when the other end closes before."""
    parts = []
    while size:
        part = connection.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def say(connection: socket.socket, line: dict[str, object]) -> None:
    """Write the start line."""
    connection.sendall(json.dumps(line).encode() + b"\n")


def open_standard_streams() -> None:
    """Make ``sys.stdin``, ``stdout`` and ``stderr`` of descriptors 0, 1 and 2, as a fresh interpreter would."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (it stays open as long as the process)
    for name, standard in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(standard, "wb", closefd=False)
        text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def add_names_of_site() -> None:
    """Give ``exit``, ``quit`` and the like, which ``-S`` leaves out."""
    site.setquit()
    site.setcopyright()
    site.sethelper()


def use_environment(environment: dict[str, str]) -> None:
    """Make this the environment, for Python, for the C library and for the clock on the wall."""
    os.environ.clear()
    os.environ.update(environment)
    if "TZ" in environment:
        time.tzset()


def serve_afresh(connection: str, handler: str, root: str) -> None:
    """Run an instance in an interpreter that was started for it; never returns."""
    sys.argv[:] = [""]
    open_standard_streams()
    add_names_of_site()
    code = 1
    try:
        code = live(socket.socket(fileno=int(connection)), {"handler": handler, "root": root})
    except (EOFError, OSError):
        pass  # the data plane let go of us
    finally:
        os._exit(code)


def search_path(handler: str, root: str) -> list[str]:
    """Return where a handler's imports are looked for: its root, its packages, the library, its own folder."""
    folder = handler.rpartition(".")[0].rpartition("/")[0]
    added = [root, os.path.join(root, "package")]
    own = os.path.join(root, folder) if folder else root
    return [*added, *(entry for entry in sys.path if entry not in (*added, own)), own]


def live(connection: socket.socket, settings: dict[str, typing.Any]) -> int:
    """Import the handler, say so, answer until the other end closes. Returns the exit code."""
    handler, failure, code = None, "", None
    own = os.getpid()
    try:
        handler = load(settings["handler"], settings["root"])
    except SystemExit as error:
        failure = f"SystemExit: {error}"
        traceback.print_exc()
    except BaseException as error:
        failure = describe(error)
        complain()
    leave_to(own)
    say(connection, {"ready": True})
    reader = Requests(connection)
    while code is None:
        request = reader.next()
        if request is None:
            return 0
        if handler is None:
            answer(connection, 500, "text/plain; charset=utf-8", failure.encode("utf-8", "replace"), reader.mark)
        else:
            code = respond(connection, handler, request, reader.mark)
    return code


def leave_to(own: int) -> None:
    """End here in a process that the handler forked and that came back with it: ``own`` alone answers."""
    if os.getpid() != own:
        os._exit(0)


def complain() -> None:
    """Write the traceback to the function's log, without the bridge's own frames."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename in (
        __file__,
        "<frozen importlib._bootstrap>",
        "<frozen importlib._bootstrap_external>",
    ):
        trace = trace.tb_next
    with contextlib.suppress(Exception):  # the handler may have closed its stderr
        sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))


def describe(error: BaseException) -> str:
    """Return the exception's message, its name where it has none."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def load(handler: str, root: str) -> typing.Callable[[object, object], object]:
    """Return the function that ``dir/file.name`` names, imported under its bare file name."""
    location, _, name = handler.rpartition(".")
    folder, _, module_name = location.rpartition("/")
    own = os.path.join(root, folder) if folder else root
    sys.path[:] = search_path(handler, root)
    path = os.path.join(own, module_name + ".py")
    if os.path.isfile(path):
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise HandlerMissing(MISSING)
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    else:
        if not module_name or importlib.util.find_spec(module_name) is None:
            raise HandlerMissing(MISSING)
        module = importlib.import_module(module_name)
    found = getattr(module, name, None)
    if not callable(found):
        raise HandlerMissing(MISSING)
    return found  # type: ignore[no-any-return]  # callable() says no more


class Requests:
    """Reads one request after the other from the data plane, which always declares the length.

    ``mark``: the line with the current one's number, which stands before that with the length and which its answer
    gives back; empty where whoever asks sends none.
    """

    _lines = re.compile(rb"(\r\nfnkit-request: \w+)?\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""
        self.mark = b""

    def next(self) -> bytes | None:
        """Return the body of the next request, ``None`` when there will be none."""
        while True:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if separator:
                break
            if not self.more():
                return None
        found = self._lines.search(head + b"\r\n")
        mark, size = found.groups() if found else (b"", 0)
        self.mark, size = mark or b"", int(size)
        missing = size - len(rest)
        if missing > 0:
            self.buffer = b""
            return rest + receive(self.connection, missing)
        self.buffer = rest[size:]
        return rest[:size]

    def more(self) -> bool:
        """Read what has come; ``False`` at the end."""
        received = self.connection.recv(65536)
        self.buffer += received
        return bool(received)


def respond(
    connection: socket.socket, handler: typing.Callable[[object, object], object], request: bytes, mark: bytes
) -> int | None:
    """Answer one request. Returns an exit code when the handler asked for the end of the process."""
    code, own = None, os.getpid()
    try:
        call = json.loads(request)
        status, kind, body = encode(handler(call["event"], call["context"]))
    except SystemExit as error:
        status, kind, body = 500, "text/plain; charset=utf-8", f"SystemExit: {error}".encode("utf-8", "replace")
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException as error:
        status, kind, body = 500, "text/plain; charset=utf-8", describe(error).encode("utf-8", "replace")
        complain()
    leave_to(own)
    answer(connection, status, kind, body, mark, last=code is not None)
    return code


def encode(result: object) -> tuple[int, str, bytes]:
    """A text goes as it is, anything else as JSON in Flask's spelling (sorted, compact, one line break)."""
    if isinstance(result, str):
        return 200, "text/html; charset=utf-8", result.encode()
    try:
        text = json.dumps(result, separators=(",", ":"), sort_keys=True)
    except TypeError:
        text = json.dumps(result, separators=(",", ":"))  # keys of several types have no order
    return 200, "application/json", text.encode() + b"\n"


def answer(
    connection: socket.socket, status: int, kind: str, body: bytes, mark: bytes, *, last: bool = False
) -> None:
    """Write the answer to the request with this mark; after the last one the process ends."""
    head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d%s%s\r\n\r\n"
    end = b"\r\nconnection: close" if last else b""
    connection.sendall(head % (status, REASONS[status], kind.encode(), len(body), end, mark) + body)
