"""The Python bridge: a zygote that forks one process per instance, and the loop that answers in it.

Run by the function's interpreter (3.8 and later, standard library only): ``python -I -S python.py FD LEVEL ROOT``.
The zygote hears twelve-byte messages on the socket FD: ``FORK`` with an instance's number and three descriptors
(its socket, the pipes of stdout and stderr), ``KILL`` with a number. It says ``BORN`` once it can fork, ``EXIT``
with a number and a wait status, and ``LOST`` with an error number when a fork failed. It never hears a secret:
a child reads whose work it is from its own socket (decision 33), in two JSON documents of four bytes of length
each: ``{cgroups}`` at once, then the settings of the instance. It answers one line, ``{"ready": true}`` or
``{"error": "…"}``, and from then on HTTP/1.1, one request at a time: ``{"event", "context"}`` in, what the
handler returned out, 500 and a text when it raised.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import re
import select
import signal
import site
import socket
import struct
import sys
import traceback
import typing

PRELOADED = (
    "asyncio",
    "base64",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "hashlib",
    "http.client",
    "logging",
    "random",
    "subprocess",
    "urllib.request",
    "uuid",
)
"""What most handlers import, directly or not: paid for once, shared by every instance."""
for _name in PRELOADED:
    importlib.import_module(_name)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
if typing.TYPE_CHECKING:
    from fnkit.platform.engine.bridges import confinement
else:
    import confinement

del sys.path[0]
for _name in ("confinement", "filters", "kernel"):
    del sys.modules[_name]  # a handler's own module of that name is found, not ours

MESSAGE = struct.Struct("!4sIi")
LENGTH = struct.Struct("!I")
MISSING = (
    "Function Handler does not exist, check that you provided the right HANDLER parameter "
    "(path to your module with exported function to use), check your function logs"
)
REASONS = {200: b"OK", 500: b"Internal Server Error"}


class HandlerMissing(Exception):
    """There is no such file, or no such function in it."""


class Zygote:
    """Forks on demand and reports who ended. Single-threaded, so that a fork is a whole process."""

    def __init__(self, control: socket.socket, level: str, root: str) -> None:
        self.control = control
        self.level = level
        self.root = root
        self.late = []  # type: list[str]
        self.numbers = {}  # type: dict[int, int]
        self.own_pids = -1

    def run(self) -> None:
        """Serve until the data plane closes its end."""
        confinement.enter_zygote(self.level)
        if confinement.has_namespaces(self.level):
            self.late = confinement.build_root(self.root)
            self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        woken, wake = socket.socketpair()
        for end in (wake, woken):
            end.settimeout(0)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        site.setquit()
        site.setcopyright()
        site.sethelper()
        gc.collect()
        gc.freeze()
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(woken, select.POLLIN)
        self.tell(b"BORN", os.getpid(), 0)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == woken.fileno():
                    woken.recv(4096)
                    self.reap()
                elif not self.hear(woken, wake):
                    self.end_all()
                    return

    def tell(self, kind: bytes, number: int, value: int) -> None:
        """Send one message."""
        self.control.sendall(MESSAGE.pack(kind, number, value))

    def reap(self) -> None:
        """Report every instance that has ended."""
        while self.numbers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self.numbers.pop(pid, None)
            if number is not None:
                self.tell(b"EXIT", number, status)

    def hear(self, woken: socket.socket, wake: socket.socket) -> bool:
        """Take one message; ``False`` when there will be no more."""
        received, ancillary, _, _ = self.control.recvmsg(MESSAGE.size, socket.CMSG_SPACE(12))
        while received and len(received) < MESSAGE.size:
            received += self.control.recv(MESSAGE.size - len(received))
        if not received:
            return False
        kind, number, _ = MESSAGE.unpack(received)
        descriptors = []  # type: list[int]
        for _, _, data in ancillary:
            descriptors += struct.unpack(f"{len(data) // 4}i", data)
        if kind == b"KILL":
            self.kill(number)
        elif kind == b"FORK":
            self.fork(number, descriptors, (woken, wake))
        return True

    def kill(self, number: int) -> None:
        """End an instance. Only what is not reaped yet has a pid here, so no stranger can be hit."""
        for pid, known in self.numbers.items():
            if known == number:
                if not confinement.has_namespaces(self.level):
                    with contextlib.suppress(OSError):  # it may not have called setsid yet
                        os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)

    def end_all(self) -> None:
        """The data plane is gone or lets go: end every instance, and be the one who buries them."""
        for number in list(self.numbers.values()):
            self.kill(number)
        for pid in self.numbers:
            os.waitpid(pid, 0)

    def fork(self, number: int, descriptors: list[int], ours: tuple[socket.socket, ...]) -> None:
        """Fork an instance that gets these descriptors and none of ours."""
        try:
            if self.own_pids >= 0:
                confinement.separate_processes()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for sock in ours:
                    sock.close()
                self.control.close()
                if self.own_pids >= 0:
                    os.close(self.own_pids)
                become_instance(self.level, self.root, self.late, descriptors)
            self.numbers[pid] = number
        except OSError as error:
            self.tell(b"LOST", number, error.errno or 0)
        finally:
            if self.own_pids >= 0:
                confinement.return_to_processes(self.own_pids)
            for descriptor in descriptors:
                os.close(descriptor)


def become_instance(level: str, root: str, late: list[str], descriptors: list[int]) -> None:
    """Run one instance in a fresh child; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection = socket.socket(fileno=descriptors[0])
        connection.settimeout(None)
        try:
            first = receive_document(connection)
            confinement.prepare(level, root, first["cgroups"], late)
            settings = receive_document(connection)
            confine(settings, root, descriptors[1:])
        except Exception as error:
            say(connection, {"error": f"{type(error).__name__}: {error}"})
            return
        code = live(connection, settings)
    except (EOFError, OSError):
        pass  # the data plane let go of us
    finally:
        os._exit(code)


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


def confine(settings: dict[str, typing.Any], root: str, pipes: list[int]) -> None:
    """Close the walls, and make stdin, stdout, stderr and the environment the function's own."""
    confinement.confine(confinement.Settings(settings), root, tuple(pipes))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((nothing, 0), (pipes[0], 1), (pipes[1], 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (it stays open as long as the process)
    for name, standard in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(standard, "wb", closefd=False)
        text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    os.environ.clear()
    os.environ.update(settings["environment"])
    os.chdir(settings["home"])


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
            answer(connection, 500, "text/plain; charset=utf-8", failure.encode("utf-8", "replace"))
        else:
            code = respond(connection, handler, request)
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
    sys.path[:0] = [root, os.path.join(root, "package")]
    sys.path.append(own)
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
    """Reads one request after the other from the data plane, which always declares the length."""

    _length = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def next(self) -> bytes | None:
        """Return the body of the next request, ``None`` when there will be none."""
        while True:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if separator:
                break
            if not self.more():
                return None
        found = self._length.search(head + b"\r\n")
        size = int(found.group(1)) if found else 0
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
    connection: socket.socket, handler: typing.Callable[[object, object], object], request: bytes
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
    answer(connection, status, kind, body, last=code is not None)
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


def answer(connection: socket.socket, status: int, kind: str, body: bytes, *, last: bool = False) -> None:
    """Write an answer; after the last one the process ends."""
    head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s\r\n"
    end = b"connection: close\r\n" if last else b""
    connection.sendall(head % (status, REASONS[status], kind.encode(), len(body), end) + body)


if __name__ == "__main__":
    Zygote(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3]).run()
