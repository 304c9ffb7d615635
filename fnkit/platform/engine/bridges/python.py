"""The Python bridge: a zygote that forks one process per instance.

Run by the function's interpreter (3.8 and later, standard library only): ``python -I -S python.py FD LEVEL ROOT``.
What it hears on the socket FD stands in ``forking.py``. It never hears a secret: a child reads whose work it is
from its own socket (decision 33). The child says one byte, by which the data plane knows it, and hears two JSON
documents of four bytes of length each: ``{cgroups}`` at once, then the settings of the instance. It answers one
line, ``{"ready": true}`` or ``{"error": "…"}``, and from then on HTTP/1.1, one request at a time:
``{"event", "context"}`` in, what the handler returned out, 500 and a text when it raised. A request's
line ``fnkit-request``, before that with the length, is given back in its answer, last in the head.

Settings with ``preload`` make the child a zygote itself, of this one deployment (``preloading.py``); its line has
more to say, and after it the socket is like FD. Settings with ``fresh`` make it start its interpreter anew.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
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

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)
if typing.TYPE_CHECKING:
    from fnkit.platform.engine.bridges import (
        confinement,
        forking,
        leftovers,
        preloading,
        processes,
        rehearsing,
        roots,
        serving,
    )
else:
    import confinement
    import forking
    import leftovers
    import preloading
    import processes
    import rehearsing
    import roots
    import serving

del sys.path[0]
for _name in (
    "confinement",
    "filters",
    "forking",
    "imports",
    "kernel",
    "leftovers",
    "preloading",
    "processes",
    "rehearsing",
    "roots",
    "serving",
):
    del sys.modules[_name]  # a handler's own module of that name is found, not ours

HELLO = b"\n"


class Base:
    """The zygote of an interpreter: what its forks have in common."""

    def __init__(self, control: socket.socket, level: str, root: str) -> None:
        self.control = control
        self.level = level
        self.root = root
        self.late = []  # type: list[str]

    def run(self) -> None:
        """Serve until the data plane closes its end."""
        namespaces = processes.has_namespaces(self.level)
        processes.enter_zygote(self.level)
        if namespaces:
            self.late = roots.build_root(self.root)
        serving.add_names_of_site()
        forking.Zygote(self.control, namespaces=namespaces, become=self.become).run()

    def become(self, descriptors: list[int]) -> None:
        """Run one instance, or one deployment zygote, in a fresh child; never returns."""
        connection = socket.socket(fileno=descriptors[0])
        with _Ending(connection) as ending:
            connection.settimeout(None)
            connection.sendall(HELLO)
            source = os.open(os.path.join(FOLDER, "serving.py"), os.O_RDONLY | os.O_CLOEXEC)
            first = serving.receive_document(connection)
            confinement.prepare(self.level, self.root, first["cgroups"], self.late)
            rehearsing.rehearse(FOLDER)
            settings = serving.receive_document(connection)
            if settings.get("fresh"):
                confine(settings, self.root, descriptors[1:], confinement.confine)
                start_afresh(settings, connection, source)
            os.close(source)
            if settings.get("preload"):
                confine(settings, self.root, descriptors[1:], confinement.confine_zygote)
                ending.started = True
                Deployment(connection, self, settings).run()
            else:
                confine(settings, self.root, descriptors[1:], confinement.confine)
                serving.use_environment(settings["environment"])
                ending.started = True
                ending.code = serving.live(connection, settings)


class Deployment:
    """The zygote of one deployment."""

    def __init__(self, control: socket.socket, base: Base, settings: dict[str, typing.Any]) -> None:
        self.control = control
        self.base = base
        self.settings = settings
        self.preloaded = preloading.Preloaded()

    def run(self) -> None:
        """Preload, say what came of it, and fork until the data plane closes its end."""
        namespaces = processes.has_namespaces(self.base.level)
        done = preloading.report(self.control, self.settings, keeps_files=namespaces)
        if done is not None:
            self.preloaded = done
            forking.Zygote(self.control, namespaces=namespaces, become=self.become).run()

    def become(self, descriptors: list[int]) -> None:
        """Run one instance in a fresh child; never returns."""
        connection = socket.socket(fileno=descriptors[0])
        with _Ending(connection) as ending:
            connection.settimeout(None)
            connection.sendall(HELLO)
            confinement.prepare_fork(self.base.level, self.base.late)
            if processes.has_namespaces(self.base.level):
                leftovers.write(self.preloaded.files)
            serving.receive_document(connection)  # of its cgroups: the data plane has moved it there
            settings = serving.receive_document(connection)
            confinement.confine_fork(confinement.Settings(settings))
            use_streams(descriptors[1:])
            os.chdir(settings["home"])
            self.preloaded.hand_over(settings["environment"])
            ending.started = True
            ending.code = serving.live(connection, settings)


class _Ending:
    """Whatever happens in a child, it ends here; what kept it from starting is said."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.code = 1
        self.started = False

    def __enter__(self) -> _Ending:  # noqa: PYI034  (Self is younger than 3.8)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            gone = isinstance(error, EOFError) or (self.started and isinstance(error, OSError))
            if error is not None and not gone:  # else the data plane let go of us
                serving.say(self.connection, {"error": f"{type(error).__name__}: {error}"})
        except OSError:
            pass
        finally:
            os._exit(self.code)


def confine(
    settings: dict[str, typing.Any],
    root: str,
    pipes: list[int],
    close_walls: typing.Callable[[confinement.Settings, str, tuple[int, ...]], None],
) -> None:
    """Close the walls, and make stdin, stdout, stderr and the working directory the function's own."""
    close_walls(confinement.Settings(settings), root, tuple(pipes))
    use_streams(pipes)
    os.chdir(settings["home"])


def use_streams(pipes: list[int]) -> None:
    """Read from nothing, and write to these."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((nothing, 0), (pipes[0], 1), (pipes[1], 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    serving.open_standard_streams()


def start_afresh(settings: dict[str, typing.Any], connection: socket.socket, source: int) -> None:
    """Replace this fork by the interpreter, started anew; never returns."""
    for descriptor in (source, connection.fileno()):
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (it takes no names)
    signal.set_wakeup_fd(-1)
    program = [sys.executable, "-I", "-S", "-c", serving.FRESH, str(source), str(connection.fileno())]
    # No shell, and none wanted.
    os.execve(sys.executable, [*program, settings["handler"], settings["root"]], settings["environment"])  # noqa: S606


if __name__ == "__main__":
    Base(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3]).run()
