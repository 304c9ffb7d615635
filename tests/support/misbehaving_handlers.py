"""A table of misbehaving handlers and the responses that their callers may get.

Each handler returns ``fine`` for ``/fine``, so that a test can check that the function's next request is served, by
the same instance or by another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.data_plane.workers.isolation import Protection

__all__ = [
    "MISBEHAVING_IMPORTS",
    "NESTING",
    "NON_TERMINATING_HANDLERS",
    "TERMINATING_HANDLERS",
    "MisbehavingHandler",
]

_PRELUDE: Final = """
import ctypes, json, os, resource, signal, socket, stat, subprocess, sys, threading, time

def worker_socket():
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass

def nonce():
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(getattr(value, 'nonce_line', None), bytes):
                return value.nonce_line.rpartition(b' ')[2]
        frame = frame.f_back

def write_response(response):
    os.write(worker_socket(), response.replace(b'NONCE', nonce()))

def daemon(work):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work()
            os._exit(0)
        os._exit(0)

"""
_ENTRY_POINT: Final = """

def handle(event, context):
    return 'fine' if event['path'] == '/fine' else misbehave(event)
"""


@dataclass(frozen=True, slots=True)
class MisbehavingHandler:
    """One handler.

    Attributes:
        name: What it does, for the test id.
        body: The source of ``misbehave(event)``.
        statuses: The statuses that the caller may get; 0 is a connection that is closed within the response body.
        requires: The protection without which the test would harm the machine, and is skipped.
        memory: The function's memory in MB.
        next_statuses: The statuses that the next caller of the function may get.
    """

    name: str
    body: str
    statuses: tuple[int, ...]
    requires: Protection | None = None
    memory: int = 256
    next_statuses: tuple[int, ...] = (200,)

    @property
    def source(self) -> str:
        """The source of the module."""
        body = "".join(f"    {line}\n" for line in self.body.strip().splitlines())
        return f"{_PRELUDE}def misbehave(event):\n{body}{_ENTRY_POINT}"


def _writing(data: bytes, then: str = "return 'mine'") -> str:
    return f"write_response({data!r})\n{then}"


_HEAD: Final = b"HTTP/1.1 200 OK\r\nfnkit-request: NONCE\r\n"
_RESPONSE: Final = _HEAD + b"content-type: text/plain\r\ncontent-length: 4\r\n\r\nfake"
_AFTER_EXTRA_RESPONSE: Final = (200, 502)  # the extra bytes may arrive after the next request was sent
_RESPONSE_WITH_WRONG_NONCE: Final = _RESPONSE.replace(b"NONCE", b"0123456789abcdef")
_LEAVE_DAEMON: Final = "daemon(lambda: time.sleep(1000))\nreturn 'left'"

NESTING: Final = """
for folder, name in ((os.getcwd(), 'd'), (os.environ.get('TMPDIR', '/tmp'), 'd' * 250)):
    try:
        os.chdir(folder)
        for _ in range(1500):
            os.mkdir(name)
            os.chdir(name)
    except OSError as error:
        print(error)
return 'deep'
"""
"""Deeper than CPython's recursion limit, and with paths longer than the kernel accepts."""

TERMINATING_HANDLERS: Final = (
    # Terminating the process or raising
    MisbehavingHandler("exits", "os._exit(3)", (502,)),
    MisbehavingHandler("aborts", "os.abort()", (502,)),
    MisbehavingHandler("crashes", "ctypes.string_at(0)", (502,)),
    MisbehavingHandler("kills itself", "os.kill(os.getpid(), signal.SIGKILL)", (200, 502)),
    MisbehavingHandler(
        "signals all processes", "os.kill(-1, signal.SIGTERM)\nreturn 'sent'", (200, 500), Protection.SIGNALS
    ),
    MisbehavingHandler(
        "kills its parent", "os.kill(os.getppid(), signal.SIGKILL)", (200, 500, 502), Protection.SIGNALS
    ),
    MisbehavingHandler("calls sys exit", "sys.exit(3)", (500,)),
    MisbehavingHandler("raises a keyboard interrupt", "raise KeyboardInterrupt", (500,)),
    MisbehavingHandler("raises a generator exit", "raise GeneratorExit", (500,)),
    MisbehavingHandler("raises a base exception", "class Mine(BaseException): pass\nraise Mine('own')", (500,)),
    MisbehavingHandler(
        "raises an unprintable exception",
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError\nraise Mute",
        (500,),
    ),
    MisbehavingHandler("raises a lone surrogate", "raise ValueError('\\ud800')", (500,)),
    MisbehavingHandler("recurses without end", "def down(n): down(n + 1)\ndown(0)", (500,)),
    MisbehavingHandler(
        "overflows the stack",
        "sys.setrecursionlimit(10 ** 7)\nx = None\nfor _ in range(10 ** 6): x = [x]\nreturn repr(x)",
        (500, 502),
    ),
    # Exhausting resources
    MisbehavingHandler(
        "allocates without end",
        "held = []\nwhile True: held.append(bytearray(1 << 22))",
        (500, 502),
        Protection.MEMORY,
        memory=128,
    ),
    MisbehavingHandler(
        "fills its disk",
        "try:\n    with open('/tmp/full', 'wb', buffering=0) as file:\n"
        "        while True: file.write(b'x' * (1 << 22))\nexcept OSError as error:\n    return str(error.errno)",
        (200, 502),
        Protection.DISK,
        memory=512,
    ),
    MisbehavingHandler(
        "forks without end",
        "count = 0\nwhile count < 2000:\n    try:\n        if os.fork() == 0: time.sleep(1000)\n"
        "    except OSError:\n        break\n    count += 1\nreturn str(count)",
        (200, 500, 502),
        Protection.PIDS,
        memory=512,
    ),
    MisbehavingHandler("opens without end", "while True: os.dup(1)", (500, 502)),
    MisbehavingHandler(
        "starts threads without end",
        "for _ in range(300): threading.Thread(target=time.sleep, args=(1000,)).start()\nreturn 'ok'",
        (200, 500, 502),
    ),
    MisbehavingHandler(
        "lowers its descriptor limit", "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\nreturn 'ok'", (200,)
    ),
    # Leaving processes or files behind
    MisbehavingHandler("leaves a daemon", _LEAVE_DAEMON, (200,)),
    MisbehavingHandler("leaves a daemon and exits", "daemon(lambda: time.sleep(1000))\nos._exit(0)", (502,)),
    MisbehavingHandler(
        "leaves a daemon that leaves daemons",
        "def on(n):\n    time.sleep(0.01)\n    daemon(lambda: on(n + 1)) if n < 30 else time.sleep(1000)\n"
        "daemon(lambda: on(0))\nreturn 'left'",
        (200,),
    ),
    MisbehavingHandler(
        "leaves a program that holds its output",
        "subprocess.Popen(['sleep', '1000'], start_new_session=True, close_fds=False)\nreturn 'left'",
        (200,),
    ),
    MisbehavingHandler(
        "leaves a locked folder", "os.makedirs('a/b/c')\nos.chmod('a/b', 0)\nos.chmod('a', 0)\nreturn 'ok'", (200,)
    ),
    MisbehavingHandler("nests directories", NESTING, (200,)),
    MisbehavingHandler("forks and both return", "os.fork()\nreturn 'one of two'", (200,)),
    MisbehavingHandler(
        "forks and the child raises", "if os.fork() == 0: raise RuntimeError('child')\nreturn 'parent'", (200,)
    ),
    # Using the worker's socket
    MisbehavingHandler("closes every descriptor", "os.closerange(0, 4096)\nreturn 'gone'", (502,)),
    MisbehavingHandler("closes the worker's socket", "os.close(worker_socket())\nreturn 'gone'", (502,)),
    MisbehavingHandler(
        "replaces the worker's socket", "os.dup2(os.open('/dev/null', 1), worker_socket())\nreturn 'x'", (502,)
    ),
    MisbehavingHandler(
        "shuts down the worker's socket", "socket.socket(fileno=worker_socket()).shutdown(2)\nreturn 'gone'", (502,)
    ),
    MisbehavingHandler("writes garbage to the worker's socket", _writing(b"\0\xff garbage\r\n\r\n"), (502,)),
    MisbehavingHandler("responds twice", _writing(_RESPONSE), (200,), next_statuses=_AFTER_EXTRA_RESPONSE),
    MisbehavingHandler(
        "responds three times", _writing(_RESPONSE * 2), (200,), next_statuses=_AFTER_EXTRA_RESPONSE
    ),
    MisbehavingHandler(
        "responds without the nonce", _writing(_RESPONSE.replace(b"fnkit-request: NONCE\r\n", b"")), (502,)
    ),
    MisbehavingHandler("responds with a wrong nonce", _writing(_RESPONSE_WITH_WRONG_NONCE), (502,)),
    MisbehavingHandler(
        "responds again with a wrong nonce",
        _writing(_RESPONSE + _RESPONSE_WITH_WRONG_NONCE),
        (200,),
        next_statuses=_AFTER_EXTRA_RESPONSE,
    ),
    MisbehavingHandler(
        "switches protocols", _writing(b"HTTP/1.1 101 Up\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), (502, 500)
    ),
    MisbehavingHandler("responds 100 continue", _writing(b"HTTP/1.1 100 Continue\r\n\r\n" * 3), (502, 500, 200)),
    MisbehavingHandler(
        "responds with two content-lengths",
        _writing(_HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        (502,),
    ),
    MisbehavingHandler("responds with a request", _writing(b"GET / HTTP/1.1\r\n\r\n"), (502,)),
    MisbehavingHandler(
        "responds with less than content-length",
        _writing(_HEAD + b"content-length: 999\r\n\r\nab", "os._exit(0)"),
        (0, 502),
    ),
    MisbehavingHandler(
        "responds without content-length and exits", _writing(_HEAD + b"\r\nabc", "os._exit(0)"), (0, 502)
    ),
    MisbehavingHandler(
        "writes headers without end",
        "head = b'x: ' + b'y' * 65536 + b'\\r\\n'\n"
        "write_response(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NONCE\\r\\n')\n"
        "for _ in range(2000): os.write(worker_socket(), head)\nreturn 'never'",
        (502,),
    ),
    MisbehavingHandler(
        "writes one header without end",
        "write_response(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NONCE\\r\\nx: ')\n"
        "for _ in range(2000): os.write(worker_socket(), b'y' * 65536)",
        (502,),
    ),
    MisbehavingHandler(
        "writes spaces without end",
        "write_response(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NONCE\\r\\ncontent-length: 9999999999\\r\\n\\r\\n')\n"
        "for _ in range(1000): os.write(worker_socket(), b' ' * 65536)\nos._exit(0)",
        (0, 502),
    ),
    # Returning invalid responses
    MisbehavingHandler("returns a generator", "return (n for n in iter(int, 1))", (500,)),
    MisbehavingHandler("returns bytes", "return b'bytes'", (500,)),
    MisbehavingHandler("returns a cyclic value", "x = {}\nx['x'] = x\nreturn x", (500,)),
    MisbehavingHandler("returns a lone surrogate", "return '\\ud800'", (500,)),
    MisbehavingHandler("returns a deep document", "return '{\"a\":' * 200000", (200, 500)),
    MisbehavingHandler(
        "returns deep headers", 'return \'{"body": "x", "headers": {"a": \' + \'[\' * 200000', (200, 500)
    ),
    MisbehavingHandler(
        "returns closed deep headers",
        "return '{\"body\": \"x\", \"headers\": {\"a\": ' + '[' * 50000 + ']' * 50000 + '}}'",
        (200, 500),
    ),
    MisbehavingHandler("returns a hundred megabytes", "return 'x' * 100_000_000", (200,), memory=1024),
    MisbehavingHandler("returns an invalid status", "return {'statusCode': 99, 'body': 'x'}", (500,)),
    # Breaking what the worker uses
    MisbehavingHandler(
        "closes its output",
        "sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2)\nraise ValueError",
        (500,),
    ),
    MisbehavingHandler(
        "replaces its output", "sys.stdout = sys.stderr = None\nprint('x')\nraise ValueError('x')", (500,)
    ),
    MisbehavingHandler("replaces write", "os.write = None\nsys.stdout.write = None\nreturn 'ok'", (200,)),
    MisbehavingHandler("changes directory and umask", "os.chdir('/')\nos.umask(0o777)\nreturn 'ok'", (200,)),
    MisbehavingHandler(
        "blocks all signals",
        "signal.pthread_sigmask(0, range(1, 65))\nsignal.signal(17, signal.SIG_IGN)\nreturn 'x'",
        (200,),
    ),
    MisbehavingHandler("sets an alarm", "signal.alarm(1)\nreturn 'ok'", (200,)),
    MisbehavingHandler("calls ptrace", "ctypes.CDLL(None).ptrace(0, 0, 0, 0)\nreturn 'ok'", (200,)),
    MisbehavingHandler(
        "changes its own code",
        "own = __file__\n"
        "for change in (lambda: os.chmod(own, 0), lambda: os.unlink(own), lambda: open(own, 'w')):\n"
        "    try: change()\n    except OSError: pass\n    else: return 'changed'\nreturn 'kept'",
        (200,),
        Protection.ATTRIBUTES,
    ),
)
"""Handlers that terminate by themselves."""

NON_TERMINATING_HANDLERS: Final = (
    MisbehavingHandler("loops", "while True: pass", (504,)),
    MisbehavingHandler(
        "loops with signals blocked", "signal.pthread_sigmask(0, range(1, 65))\nwhile True: pass", (504,)
    ),
    MisbehavingHandler(
        "ignores every signal", "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(1000)", (504,)
    ),
    MisbehavingHandler("stops itself", "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(1000)", (504,)),
    MisbehavingHandler("reads the worker's socket", "os.read(worker_socket(), 1)", (504,)),
    MisbehavingHandler("prints without end", "while True: print('x' * 20)", (504,)),
    MisbehavingHandler("prints a line without end", "while True: sys.stdout.write('x' * 65536)", (504,)),
    MisbehavingHandler(
        "catches every exception", "while True:\n    try: time.sleep(1000)\n    except BaseException: pass", (504,)
    ),
    MisbehavingHandler(
        "waits for its child", "pid = os.fork()\nif pid == 0: time.sleep(1000)\nos.waitpid(pid, 0)", (504,)
    ),
    MisbehavingHandler("waits for a lock", "lock = threading.Lock()\nlock.acquire()\nlock.acquire()", (504,)),
    MisbehavingHandler(
        "responds without end",
        "write_response(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NONCE\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n')\n"
        "while True: os.write(worker_socket(), b'4\\r\\nmore\\r\\n'); time.sleep(0.01)",
        (0,),
    ),
    MisbehavingHandler(
        "responds and continues",
        _writing(_RESPONSE, "time.sleep(1000)"),
        (200,),
    ),
)
"""Handlers that only the timeout terminates."""

MISBEHAVING_IMPORTS: Final = {
    "exits at import": ("import os\nos._exit(0)\n", None),
    "crashes at import": ("import ctypes\nctypes.string_at(0)\n", None),
    "calls sys exit at import": ("import sys\nsys.exit('no')\n", 500),
    "raises a keyboard interrupt at import": ("raise KeyboardInterrupt\n", 500),
    "raises a base exception at import": ("class Mine(BaseException): pass\nraise Mine('x')\n", 500),
    "forks at import": ("import os\nos.fork()\ndef handle(event, context):\n    return 'fine'\n", 200),
    "forks at import and the child continues": (
        "import os, time\nif os.fork() == 0: time.sleep(1000)\ndef handle(event, context):\n    return 'fine'\n",
        200,
    ),
    "prints without end at import": (
        "for _ in range(100000): print('x')\ndef handle(event, context):\n    return 'fine'\n",
        200,
    ),
}
"""Modules that misbehave when imported, and the status of a call; ``None`` if the deployment must fail."""
