"""The zygote of an interpreter: forks one process per instance.

A zygote (Android's term) is a process that has loaded an interpreter and its common modules once. Its forks start
in about a millisecond and share its memory pages. The function's own interpreter runs this file (Python 3.8 and
later, standard library only), started by ``launch``. Over its socket come first its settings, a JSON document
preceded by its length in four bytes: ``level``; ``root``, where it mounts what forks share; ``disk``, a path where
it may try overlays; ``codes``, the directory with the code of all functions; ``directories``, those of a toolchain;
``worker``, the directory of this program. After them come the messages that ``fork_server`` describes. Settings and
secrets of functions never pass through it: the memory of a zygote is shared with the instances of every function.
Each fork has a socket of its own instead:

1. The fork sends one handshake byte. The kernel attaches the sender's process id for the data plane.
2. The data plane sends JSON documents, each preceded by its length in four bytes: ``{"cgroups": [...], "disk":
   "...", "is_zygote": false, "source": "python/serve.py", "program": null}`` at once; when the fork is assigned to
   a deployment, the settings of its sandbox, and its environment with the secrets.
3. The fork applies its sandbox before it reads the environment: code that a deployment zygote has imported cannot
   use the rights of a fork that is not confined yet together with secrets.
4. The fork answers with one line, ``{"ready": true}`` or ``{"error": "..."}``.
5. From then on the socket carries HTTP/1.1, one request at a time: ``{"event", "context"}`` in, the return value of
   the handler out, or 500 and a text if it raised. The header ``fnkit-request`` of a request, which precedes its
   ``content-length``, is repeated as the last header of the response.

Settings with ``preload`` turn the fork into the zygote of one deployment (``preload``): its line has more fields,
and after it the socket carries fork messages like FD. Settings with ``fresh`` make the fork execute a new
interpreter, those with ``command`` a program of another language, and a first document with ``program`` does so
before the settings are known (``program``).
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import typing

from .. import built_program
from ..sandbox import confine, namespaces, syscalls
from ..sandbox.rootfs import RootFilesystem
from . import debugging, edited_files, fork_server, preload, program, relay, serve, warm_up

PRELOADED_MODULES = (
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
"""Modules that most handlers import, directly or not. Every fork shares them."""
for _name in PRELOADED_MODULES:
    importlib.import_module(_name)
if "platform" in sys.modules:
    importlib.reload(sys.modules["platform"])  # it has cached the host name of the machine

HANDSHAKE_BYTE = b"\n"


def run_zygote(control: socket.socket) -> tuple[list[int], str, RootFilesystem, str]:
    """Serve fork messages until the data plane closes its end, then exit.

    Args:
        control: The socket to the data plane.

    Returns:
        In a fork, the arguments of ``run_fork``.
    """
    settings = serve.receive_document(control)
    # Namespaces come first: the root consists of mounts, which must stay invisible to the rest of the machine.
    level = settings["level"]
    has_namespaces = namespaces.has_namespaces(level)
    namespaces.enter_zygote_namespaces(level)
    syscalls.join_session_keyring()
    root = RootFilesystem(settings["root"], settings["codes"], toolchain=settings["directories"])
    if has_namespaces:
        root.build()
        root.detect_storage(settings["disk"])
    serve.add_site_builtins()
    try:
        descriptors = fork_server.ForkServer(control, namespaces=has_namespaces, storage=root.storage).run()
    except EOFError:
        sys.exit()
    return descriptors, level, root, settings["worker"]


def run_fork(descriptors: list[int], level: str, root: RootFilesystem, directory: str) -> None:
    """Run one instance or one deployment zygote in a fresh fork. Never returns.

    Args:
        descriptors: The instance's socket, and the write ends of its stdout and stderr pipes.
        level: The isolation level.
        root: The root that the zygote has built.
        directory: The directory of the worker.
    """
    connection = socket.socket(fileno=descriptors[0])
    with _ExitGuard(connection) as guard:
        connection.settimeout(None)
        connection.sendall(HANDSHAKE_BYTE)
        source, ahead = _prepare(connection, level, root, directory)
        if ahead is not None:
            program.execute_ahead(ahead, source, connection, root, descriptors[1:])
        settings = serve.receive_document(connection)
        sandbox = confine.SandboxSettings(settings)
        if settings.get("preload"):
            root = confine.confine_zygote(sandbox, root, tuple(descriptors[1:]))
        else:
            confine.confine(sandbox, root, tuple(descriptors[1:]))
        if settings.get("command"):
            os.chdir(settings["home"])
            environment = serve.receive_document(connection)
            if os.path.exists(os.path.join(settings["root"], built_program.HTTP_SERVER)):
                redirect_stdio(descriptors[1:])
                guard.is_started = True
                guard.exit_code = relay.run(settings["command"], connection, environment)
                return
            program.execute(source, connection, settings, environment, descriptors[1:])
        redirect_stdio(descriptors[1:])
        if settings.get("edited"):
            edited_files.write_edited_files(settings["edited"], settings["root"])
        os.chdir(settings["home"])
        environment = serve.receive_document(connection)
        if settings.get("fresh"):
            exec_fresh(settings, environment, connection, source)
        os.close(source)
        guard.is_started = True
        del directory  # a handler can read the variables of its callers
        if settings.get("preload"):
            DeploymentZygote(connection, level, root).run(settings, environment)
        else:
            del root
            serve.apply_environment(environment)
            if settings.get("debugger"):
                debugging.start(settings["debugger"], settings["root"])
            guard.exit_code = serve.serve(connection, settings)


def _prepare(
    connection: socket.socket, level: str, root: RootFilesystem, directory: str
) -> tuple[int, dict[str, typing.Any] | None]:
    """Do what is the same for every function, while the fork waits for a deployment.

    Returns:
        A descriptor of the source that an interpreter reads, to which no path leads once the root has changed; and
        the program to execute ahead, if any.
    """
    document = serve.receive_document(connection)
    source = os.open(os.path.join(directory, document["source"]), os.O_RDONLY | os.O_CLOEXEC)
    confine.prepare(level, root, document["cgroups"], document["disk"], is_zygote=document["is_zygote"])
    ahead = document["program"]
    if ahead is None:
        warm_up.warm_up(os.path.join(directory, "python"))
    confine.enter_root(level, root)
    serve.present_program()
    return source, ahead


class DeploymentZygote:
    """The zygote of one deployment, with the deployment's third-party modules imported."""

    def __init__(self, control: socket.socket, level: str, root: RootFilesystem) -> None:
        self.control = control
        self.level = level
        self.root = root
        self.preloaded_modules = preload.PreloadedModules()

    def run(self, settings: dict[str, typing.Any], environment: dict[str, str]) -> None:
        """Preload modules, report the result, and serve fork messages until the data plane closes its end."""
        has_namespaces = namespaces.has_namespaces(self.level)
        written = [(settings["home"], settings["home"])]
        if has_namespaces:
            written = self.root.written_directories(settings["code"])
        result = preload.preload_and_report(
            self.control, settings, environment, written=written, keeps_files=has_namespaces
        )
        if result is not None:
            self.preloaded_modules = result
            self.run_child(fork_server.ForkServer(self.control, namespaces=has_namespaces).run())

    def run_child(self, descriptors: list[int]) -> None:
        """Run one instance in a fresh fork. Never returns.

        Args:
            descriptors: The instance's socket, and the write ends of its stdout and stderr pipes.
        """
        connection = socket.socket(fileno=descriptors[0])
        with _ExitGuard(connection) as guard:
            connection.settimeout(None)
            connection.sendall(HANDSHAKE_BYTE)
            # The data plane sends it when it has moved this process into its cgroups, whose files cannot be reached
            # from the root of the deployment.
            document = serve.receive_document(connection)
            confine.prepare_fork(self.level, self.root, document["disk"])
            if namespaces.has_namespaces(self.level):
                preload.restore_created_files(self.preloaded_modules.created_files)
            settings = serve.receive_document(connection)
            confine.confine_fork(confine.SandboxSettings(settings))
            redirect_stdio(descriptors[1:])
            if settings.get("edited"):
                edited_files.write_edited_files(settings["edited"], settings["root"])
            os.chdir(settings["home"])
            # Only now: the preloaded modules have seen the variables without secrets.
            self.preloaded_modules.apply_to_fork(serve.receive_document(connection))
            guard.is_started = True
            guard.exit_code = serve.serve(connection, settings)


class _ExitGuard:
    """Exits the child process when its block ends, and reports errors of the startup.

    A fork must never return into the zygote's loop, whatever is raised.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.exit_code = 1
        self.is_started = False

    def __enter__(self) -> _ExitGuard:  # noqa: PYI034  (Self is younger than 3.8)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            # Before the start an OSError is a failed mount or limit; after it, a socket that the data plane closed.
            is_disconnected = isinstance(error, EOFError) or (self.is_started and isinstance(error, OSError))
            if error is not None and not is_disconnected:  # is_disconnected: the data plane has closed the socket
                serve.send_status(self.connection, {"error": f"{type(error).__name__}: {error}"})
        except OSError:
            pass
        finally:
            os._exit(self.exit_code)


def redirect_stdio(outputs: list[int]) -> None:
    """Redirect stdin to the null device, and stdout and stderr to these outputs."""
    null_device = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((null_device, 0), (outputs[0], 1), (outputs[1], 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    serve.open_standard_streams()


def exec_fresh(
    settings: dict[str, typing.Any], environment: dict[str, str], connection: socket.socket, program: int
) -> None:
    """Replace this fork with a new interpreter. Never returns.

    Args:
        settings: The settings of the instance.
        environment: Its environment.
        connection: The instance's socket.
        program: A descriptor of the source that the interpreter runs.
    """
    # Descriptors are not inheritable by default (PEP 446) and would be closed by execve.
    os.set_inheritable(connection.fileno(), True)  # noqa: FBT003  (it takes no names)
    signal.set_wakeup_fd(-1)
    os.dup2(program, 0)
    arguments = [sys.executable, "-I", "-S", "-", str(connection.fileno()), settings["handler"], settings["root"]]
    os.execve(sys.executable, arguments, environment)


def main(arguments: list[str]) -> None:
    """Run the zygote whose socket to the data plane is the only argument, a descriptor."""
    # A fork returns to here: its stack does not hold the settings of the zygote, which its handler could read.
    run_fork(*run_zygote(socket.socket(fileno=int(arguments[0]))))
