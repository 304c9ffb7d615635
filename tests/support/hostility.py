"""What hostile handlers do, and what their callers get: one ``Hostility`` a row.

Each handler answers ``/fine`` with ``fine``, whatever it did before: the function's next request is served, by the
same instance or by another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.platform.data_plane.workers.isolation import Protection

__all__ = ["AT_IMPORT", "HOSTILITIES", "NEVER_ENDING", "Hostility"]

_PRELUDE: Final = """
import ctypes, json, os, resource, signal, socket, stat, subprocess, sys, threading, time

def bridge():
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass

def number():
    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(getattr(value, 'nonce_line', None), bytes):
                return value.nonce_line.rpartition(b' ')[2]
        frame = frame.f_back

def speak(answer):
    os.write(bridge(), answer.replace(b'NUMBER', number()))

def daemon(work):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work()
            os._exit(0)
        os._exit(0)

"""
_HANDLE: Final = """

def handle(event, context):
    return 'fine' if event['path'] == '/fine' else attack(event)
"""


@dataclass(frozen=True, slots=True)
class Hostility:
    """One way to misbehave.

    attack: the body of ``attack(event)``. statuses: what its caller may get; 0 is a connection that ends in the
    middle of an answer, which is all that can be said once its head is out. needs: what must be enforced for
    this to be tried at all: without it the machine itself would suffer. next_statuses: what the function's next
    caller may get, who is never given an answer that is not its own.
    """

    name: str
    attack: str
    statuses: tuple[int, ...]
    needs: Protection | None = None
    memory: int = 256
    next_statuses: tuple[int, ...] = (200,)

    @property
    def source(self) -> str:
        """The whole module."""
        body = "".join(f"    {line}\n" for line in self.attack.strip().splitlines())
        return f"{_PRELUDE}def attack(event):\n{body}{_HANDLE}"


def _write(data: bytes, then: str = "return 'mine'") -> str:
    return f"speak({data!r})\n{then}"


_HEAD: Final = b"HTTP/1.1 200 OK\r\nfnkit-request: NUMBER\r\n"
_ANSWER: Final = _HEAD + b"content-type: text/plain\r\ncontent-length: 4\r\n\r\nfake"
_IN_ITS_WAY: Final = (200, 502)  # what lies behind an answer may come after the next request was sent
_STRANGE: Final = _ANSWER.replace(b"NUMBER", b"0123456789abcdef")
_HOLDING: Final = "daemon(lambda: time.sleep(1000))\nreturn 'left'"

HOSTILITIES: Final = (
    # It ends
    Hostility("exits", "os._exit(3)", (502,)),
    Hostility("aborts", "os.abort()", (502,)),
    Hostility("crashes", "ctypes.string_at(0)", (502,)),
    Hostility("kills itself", "os.kill(os.getpid(), signal.SIGKILL)", (200, 502)),
    Hostility("signals everybody", "os.kill(-1, signal.SIGTERM)\nreturn 'sent'", (200, 500), Protection.SIGNALS),
    Hostility("kills its parent", "os.kill(os.getppid(), signal.SIGKILL)", (200, 500, 502), Protection.SIGNALS),
    Hostility("asks for its end", "sys.exit(3)", (500,)),
    Hostility("interrupts", "raise KeyboardInterrupt", (500,)),
    Hostility("leaves a generator", "raise GeneratorExit", (500,)),
    Hostility("raises what is no exception", "class Mine(BaseException): pass\nraise Mine('own')", (500,)),
    Hostility(
        "raises what cannot be printed",
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError\nraise Mute",
        (500,),
    ),
    Hostility("raises what is not text", "raise ValueError('\\ud800')", (500,)),
    Hostility("raises a hundred levels", "def down(n): down(n + 1)\ndown(0)", (500,)),
    Hostility(
        "overflows the stack",
        "sys.setrecursionlimit(10 ** 7)\nx = None\nfor _ in range(10 ** 6): x = [x]\nreturn repr(x)",
        (500, 502),
    ),
    # It takes
    Hostility(
        "allocates without end",
        "held = []\nwhile True: held.append(bytearray(1 << 22))",
        (500, 502),
        Protection.DATA_DIRECTORY,  # at every level but none, where nothing bounds memory
        memory=128,
    ),
    Hostility(
        "fills its disk",
        "try:\n    with open('/tmp/full', 'wb', buffering=0) as file:\n"
        "        while True: file.write(b'x' * (1 << 22))\nexcept OSError as error:\n    return str(error.errno)",
        (200, 502),
        Protection.DISK,
        memory=512,
    ),
    Hostility(
        "forks without end",
        "count = 0\nwhile count < 2000:\n    try:\n        if os.fork() == 0: time.sleep(1000)\n"
        "    except OSError:\n        break\n    count += 1\nreturn str(count)",
        (200, 500, 502),
        Protection.PIDS,
        memory=512,
    ),
    Hostility("opens without end", "while True: os.dup(1)", (500, 502)),
    Hostility(
        "starts threads without end",
        "for _ in range(300): threading.Thread(target=time.sleep, args=(1000,)).start()\nreturn 'ok'",
        (200, 500, 502),
    ),
    Hostility(
        "takes its own limits away", "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\nreturn 'ok'", (200,)
    ),
    # It leaves something behind
    Hostility("leaves a daemon", _HOLDING, (200,)),
    Hostility("leaves a daemon and dies", "daemon(lambda: time.sleep(1000))\nos._exit(0)", (502,)),
    Hostility(
        "leaves a daemon that leaves daemons",
        "def on(n):\n    time.sleep(0.01)\n    daemon(lambda: on(n + 1)) if n < 30 else time.sleep(1000)\n"
        "daemon(lambda: on(0))\nreturn 'left'",
        (200,),
    ),
    Hostility(
        "leaves a program that holds its output",
        "subprocess.Popen(['sleep', '1000'], start_new_session=True, close_fds=False)\nreturn 'left'",
        (200,),
    ),
    Hostility(
        "leaves a locked folder", "os.makedirs('a/b/c')\nos.chmod('a/b', 0)\nos.chmod('a', 0)\nreturn 'ok'", (200,)
    ),
    Hostility("forks and both return", "os.fork()\nreturn 'one of two'", (200,)),
    Hostility(
        "forks and the child raises", "if os.fork() == 0: raise RuntimeError('child')\nreturn 'parent'", (200,)
    ),
    # It speaks on the bridge's socket
    Hostility("closes every descriptor", "os.closerange(0, 4096)\nreturn 'gone'", (502,)),
    Hostility("closes the bridge", "os.close(bridge())\nreturn 'gone'", (502,)),
    Hostility(
        "puts a file in the bridge's place", "os.dup2(os.open('/dev/null', 1), bridge())\nreturn 'x'", (502,)
    ),
    Hostility("shuts the bridge", "socket.socket(fileno=bridge()).shutdown(2)\nreturn 'gone'", (502,)),
    Hostility("writes garbage to the bridge", _write(b"\0\xff garbage\r\n\r\n"), (502,)),
    Hostility("answers twice", _write(_ANSWER), (200,), next_statuses=_IN_ITS_WAY),
    Hostility("answers three times", _write(_ANSWER * 2), (200,), next_statuses=_IN_ITS_WAY),
    Hostility("answers without the number", _write(_ANSWER.replace(b"fnkit-request: NUMBER\r\n", b"")), (502,)),
    Hostility("answers with another number", _write(_STRANGE), (502,)),
    Hostility(
        "answers once more with another number", _write(_ANSWER + _STRANGE), (200,), next_statuses=_IN_ITS_WAY
    ),
    Hostility(
        "switches protocols", _write(b"HTTP/1.1 101 Up\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"), (502, 500)
    ),
    Hostility("says to continue", _write(b"HTTP/1.1 100 Continue\r\n\r\n" * 3), (502, 500, 200)),
    Hostility(
        "answers with two lengths", _write(_HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"), (502,)
    ),
    Hostility("answers with a request", _write(b"GET / HTTP/1.1\r\n\r\n"), (502,)),
    Hostility(
        "answers less than it said", _write(_HEAD + b"content-length: 999\r\n\r\nab", "os._exit(0)"), (0, 502)
    ),
    Hostility("answers without a length and ends", _write(_HEAD + b"\r\nabc", "os._exit(0)"), (0, 502)),
    Hostility(
        "writes headers without end",
        "head = b'x: ' + b'y' * 65536 + b'\\r\\n'\nspeak(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NUMBER\\r\\n')\n"
        "for _ in range(2000): os.write(bridge(), head)\nreturn 'never'",
        (502,),
    ),
    Hostility(
        "writes one header without end",
        "speak(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NUMBER\\r\\nx: ')\n"
        "for _ in range(2000): os.write(bridge(), b'y' * 65536)",
        (502,),
    ),
    Hostility(
        "writes blanks without end",
        "speak(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NUMBER\\r\\ncontent-length: 9999999999\\r\\n\\r\\n')\n"
        "for _ in range(1000): os.write(bridge(), b' ' * 65536)\nos._exit(0)",
        (0, 502),
    ),
    # It answers with what is no answer
    Hostility("returns a generator", "return (n for n in iter(int, 1))", (500,)),
    Hostility("returns bytes", "return b'bytes'", (500,)),
    Hostility("returns itself", "x = {}\nx['x'] = x\nreturn x", (500,)),
    Hostility("returns half a pair", "return '\\ud800'", (500,)),
    Hostility("returns a deep document", "return '{\"a\":' * 200000", (200, 500)),
    Hostility("returns deep headers", 'return \'{"body": "x", "headers": {"a": \' + \'[\' * 200000', (200, 500)),
    Hostility(
        "returns closed deep headers",
        "return '{\"body\": \"x\", \"headers\": {\"a\": ' + '[' * 50000 + ']' * 50000 + '}}'",
        (200, 500),
    ),
    Hostility("returns a hundred megabytes", "return 'x' * 100_000_000", (200,), memory=1024),
    Hostility("returns a status that is none", "return {'statusCode': 99, 'body': 'x'}", (500,)),
    # It takes the bridge's own tools
    Hostility(
        "closes its output",
        "sys.stdout.close(); sys.stderr.close(); os.close(1); os.close(2)\nraise ValueError",
        (500,),
    ),
    Hostility("replaces its output", "sys.stdout = sys.stderr = None\nprint('x')\nraise ValueError('x')", (500,)),
    Hostility("replaces write", "os.write = None\nsys.stdout.write = None\nreturn 'ok'", (200,)),
    Hostility("goes elsewhere", "os.chdir('/')\nos.umask(0o777)\nreturn 'ok'", (200,)),
    Hostility(
        "hears no signals",
        "signal.pthread_sigmask(0, range(1, 65))\nsignal.signal(17, signal.SIG_IGN)\nreturn 'x'",
        (200,),
    ),
    Hostility("sets an alarm", "signal.alarm(1)\nreturn 'ok'", (200,)),
    Hostility("traces", "ctypes.CDLL(None).ptrace(0, 0, 0, 0)\nreturn 'ok'", (200,)),
    Hostility(
        "changes its own code",
        "own = __file__\n"
        "for change in (lambda: os.chmod(own, 0), lambda: os.unlink(own), lambda: open(own, 'w')):\n"
        "    try: change()\n    except OSError: pass\n    else: return 'changed'\nreturn 'kept'",
        (200,),
        Protection.ATTRIBUTES,
    ),
)
"""Handlers that come to an end by themselves."""

NEVER_ENDING: Final = (
    Hostility("loops", "while True: pass", (504,)),
    Hostility("loops with signals blocked", "signal.pthread_sigmask(0, range(1, 65))\nwhile True: pass", (504,)),
    Hostility(
        "ignores every signal", "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(1000)", (504,)
    ),
    Hostility("stops itself", "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(1000)", (504,)),
    Hostility("reads ahead", "os.read(bridge(), 1)", (504,)),
    Hostility("prints without end", "while True: print('x' * 20)", (504,)),
    Hostility("prints a line without end", "while True: sys.stdout.write('x' * 65536)", (504,)),
    Hostility(
        "catches what ends it", "while True:\n    try: time.sleep(1000)\n    except BaseException: pass", (504,)
    ),
    Hostility("waits for its child", "pid = os.fork()\nif pid == 0: time.sleep(1000)\nos.waitpid(pid, 0)", (504,)),
    Hostility("waits for a lock", "lock = threading.Lock()\nlock.acquire()\nlock.acquire()", (504,)),
    Hostility(
        "answers without end",
        "speak(b'HTTP/1.1 200 OK\\r\\nfnkit-request: NUMBER\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n')\n"
        "while True: os.write(bridge(), b'4\\r\\nmore\\r\\n'); time.sleep(0.01)",
        (0,),
    ),
    Hostility(
        "answers and goes on",
        _write(_ANSWER, "time.sleep(1000)"),
        (200,),
    ),
)
"""Handlers that only their timeout ends."""

AT_IMPORT: Final = {
    "exits at import": ("import os\nos._exit(0)\n", None),
    "crashes at import": ("import ctypes\nctypes.string_at(0)\n", None),
    "asks for its end at import": ("import sys\nsys.exit('no')\n", 500),
    "interrupts at import": ("raise KeyboardInterrupt\n", 500),
    "raises what is no exception at import": ("class Mine(BaseException): pass\nraise Mine('x')\n", 500),
    "forks at import": ("import os\nos.fork()\ndef handle(event, context):\n    return 'fine'\n", 200),
    "forks at import and the child goes on": (
        "import os, time\nif os.fork() == 0: time.sleep(1000)\ndef handle(event, context):\n    return 'fine'\n",
        200,
    ),
    "prints without end at import": (
        "for _ in range(100000): print('x')\ndef handle(event, context):\n    return 'fine'\n",
        200,
    ),
}
"""Modules by what they do when they are imported, and the status of a call; ``None``: they cannot be deployed."""
