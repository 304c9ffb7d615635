"""Preloads third-party modules in the zygote of one deployment, inside the function's own sandbox.

The zygote imports none of the function's own modules and receives no secret. A module is rejected if an instance
could behave differently because it was imported before the fork: it starts threads or processes, keeps a descriptor
open, reads a variable that is secret or differs between instances, or imports the function's own modules. The
zygote then exits and a new one is forked that skips the module, so that nothing of the failed attempt remains.

The files that imports create are collected in the zygote and restored on the disk of each of its forks. Standard
library only, Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import socket
import stat
import sys
import threading
import time
import typing

from . import serve
from .handler_imports import HandlerImport, handler_imports, is_own_module

_THREAD_COUNT_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""How many threads numerical libraries start when they are loaded."""
_MAX_CREATED_BYTES = 1024 * 1024


class PreloadRejected(Exception):
    """A module that must not be preloaded.

    Attributes:
        module: The module as the handler imports it.
        reason: Completes the sentence “numpy …”.
    """

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(module, reason)
        self.module = module
        self.reason = reason


class PreloadedModules:
    """What a deployment zygote holds for its forks besides imported modules.

    Attributes:
        modules: The third-party modules that were imported, as the handler names them.
        cpu_seconds: CPU time of their imports.
        changed_variables: Environment variables that imports set, or removed (``None``).
        created_files: Files that imports created.
    """

    def __init__(self) -> None:
        self.modules = []  # type: list[str]
        self.cpu_seconds = 0.0
        self.changed_variables = {}  # type: dict[str, str | None]
        self.created_files = []  # type: list[CreatedFile]

    def apply_to_fork(self, environment: dict[str, str]) -> None:
        """Apply to a fork what the imports did to the environment, and reseed what forks must not share."""
        serve.apply_environment(environment)
        for name, value in self.changed_variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        # The global generator of "random" is reseeded after each fork by Python itself; that of NumPy is not.
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()


def preload_modules(
    settings: dict[str, typing.Any],
    environment: dict[str, str],
    *,
    written: list[tuple[str, str]],
    keeps_files: bool,
) -> PreloadedModules:
    """Import what the handler imports.

    Args:
        settings: ``handler``, ``root``, ``secrets`` (their names), ``excluded`` (modules to skip).
        environment: The variables of the function, without secrets.
        written: The directories that show what this process has written, each with the path that it has.
        keeps_files: Whether each instance has a disk of its own at the same path, on which files that imports
            created can be restored.

    Raises:
        PreloadRejected: The first module that must not be preloaded.
    """
    serve.apply_environment(environment)
    sys.path[:] = serve.module_search_path(settings["handler"], settings["root"])
    result = PreloadedModules()
    file_audit = _FileAudit(written, keeps_files=keeps_files)
    with _single_threaded_blas(), EnvironmentAudit(frozenset(settings["secrets"])) as environment_audit:
        process_audit = _ProcessAudit(settings["root"])
        # Forks must not get a copy of each file that a compilation leaves behind.
        setting, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        for statement in handler_imports(settings["handler"], settings["root"]):
            if statement.name in settings["excluded"]:
                continue
            loaded_before = set(sys.modules)
            started = time.process_time()
            try:
                import_statement(statement)
            except PreloadRejected:
                environment_audit.check(statement.name)  # a missing secret may be why the import failed
                raise
            if any("/package/" in (getattr(sys.modules[name], "__file__", None) or "") for name in
                   set(sys.modules) - loaded_before if name in sys.modules):  # fmt: skip
                result.cpu_seconds += time.process_time() - started
                result.modules.append(statement.name)
            environment_audit.check(statement.name)
            process_audit.check(statement.name, set(sys.modules) - loaded_before)
            result.created_files = file_audit.check(statement.name)
        sys.dont_write_bytecode = setting
    current = dict(os.environ)
    result.changed_variables = {
        name: current.get(name) for name in {*current, *environment} if current.get(name) != environment.get(name)
    }
    return result


def preload_and_report(
    connection: socket.socket,
    settings: dict[str, typing.Any],
    environment: dict[str, str],
    *,
    written: list[tuple[str, str]],
    keeps_files: bool,
) -> PreloadedModules | None:
    """Preload and report the result to the data plane.

    Returns:
        ``None`` if this zygote is to exit.
    """
    try:
        result = preload_modules(settings, environment, written=written, keeps_files=keeps_files)
    except PreloadRejected as rejection:
        serve.send_status(connection, {"excluded": rejection.module, "reason": rejection.reason})
        return None
    serve.send_status(
        connection,
        {"ready": True, "modules": result.modules, "seconds": result.cpu_seconds, "memory": _resident_bytes()},
    )
    return result


def import_statement(statement: HandlerImport) -> None:
    """Import what a statement of a handler imports.

    Raises:
        PreloadRejected: It could not be imported.
    """
    try:
        module = importlib.import_module(statement.name)
        for attribute in statement.attributes:
            # "from package import name" imports the submodule if the package has no such attribute.
            if not hasattr(module, attribute) and hasattr(module, "__path__"):
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(f"{statement.name}.{attribute}")
    except BaseException as error:
        raise PreloadRejected(statement.name, f"could not be imported ({type(error).__name__})") from None


class _ProcessAudit:
    """Compares the threads, children and descriptors of this process before and after an import."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.descriptors = _open_descriptors()

    def check(self, name: str, loaded: set[str]) -> None:
        """Check what the import of a module did to this process.

        Raises:
            PreloadRejected: A fork would not have what the import left behind.
        """
        # Threads do not survive a fork, children belong to the zygote, and forks would share the position of a
        # file or the stream of a socket.
        if threading.active_count() > 1 or _thread_count() > 1:
            raise PreloadRejected(name, "starts threads")
        if _has_children():
            raise PreloadRejected(name, "starts processes")
        if _open_descriptors() != self.descriptors:
            raise PreloadRejected(name, "keeps a file or a socket open")
        for module in loaded:
            path = getattr(sys.modules.get(module), "__file__", None) or ""
            if is_own_module(path, self.root):
                raise PreloadRejected(name, f"imports the function's own module {module}")


def _thread_count() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _open_descriptors() -> set[str]:
    """Return the open descriptors with their targets: a number may have been closed and opened again."""
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found = set()
    for number in os.listdir(directory):
        try:
            os.fstat(int(number))
        except OSError:
            continue  # the descriptor of the listing itself
        with contextlib.suppress(OSError):
            found.add(f"{number} {os.readlink(f'{directory}/{number}') if directory != '/dev/fd' else ''}")
    return found


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _resident_bytes() -> int:
    """Return the resident memory of this process in bytes, 0 where the system does not report it."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextlib.contextmanager
def _single_threaded_blas() -> typing.Iterator[None]:
    """Load numerical libraries with one thread each, unless the function sets their number.

    They start a pool of threads when they are loaded, which a fork cannot have.
    """
    added = [name for name in _THREAD_COUNT_VARIABLES if name not in os.environ]
    # Not through os.environ: handlers must not see variables that their function does not set.
    libc = ctypes.CDLL(None)
    for name in added:
        libc.setenv(name.encode(), b"1", 1)
    try:
        yield
    finally:
        for name in added:
            if name not in os.environ:
                libc.unsetenv(name.encode())


class EnvironmentAudit:
    """Records which modules read a variable whose value this zygote does not have.

    It replaces the class of ``os.environ``, so that references which modules took earlier are audited too.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.names_read = set()  # type: set[str]

    def __enter__(self) -> EnvironmentAudit:  # noqa: PYI034  (Self is younger than 3.8)
        audit = self
        original = type(os.environ)

        class Audited(original):  # type: ignore[valid-type, misc]  # a private class of os
            def __getitem__(self, key: str) -> str:
                if key in audit.names:
                    audit.names_read.add(key)
                return typing.cast("str", super().__getitem__(key))

            def __iter__(self) -> typing.Iterator[str]:
                audit.names_read |= audit.names
                return super().__iter__()  # type: ignore[no-any-return]  # a private class of os

        self._original = original
        os.environ.__class__ = Audited
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.__class__ = self._original

    def check(self, module: str) -> None:
        """Check what the import of a module read.

        Raises:
            PreloadRejected: It read one of the variables.
        """
        if self.names_read:
            raise PreloadRejected(module, f"reads the variable {min(self.names_read)}")


class CreatedFile:
    """A file, directory or symbolic link that an import created.

    Attributes:
        path: Absolute path.
        mode: ``st_mode``.
        content: The bytes of a file, the target of a link, ``None`` for a directory.
    """

    __slots__ = ("content", "mode", "path")

    def __init__(self, path: str, mode: int, content: bytes | None) -> None:
        self.path = path
        self.mode = mode
        self.content = content


class _FileAudit:
    """Finds the files that imports created, changed or deleted.

    Args:
        written: The directories that show what this process has written, each with the path that it has.
        keeps_files: Whether created files are allowed.
    """

    def __init__(self, written: list[tuple[str, str]], *, keeps_files: bool) -> None:
        self.written = written
        self.keeps_files = keeps_files
        self.existing = {path for _, path in self._entries()}

    def check(self, module: str) -> list[CreatedFile]:
        """Return everything that imports created, parents first.

        Args:
            module: The module that was imported last, for the exception.

        Raises:
            PreloadRejected: Files may not be created, or are too large to be copied to each fork, or were deleted.
        """
        found = []  # type: list[CreatedFile]
        size = 0
        for location, path in self._entries():
            if path in self.existing:
                continue
            entry = _read_entry(location, path)
            if entry is None or not self.keeps_files:
                raise PreloadRejected(module, "leaves files behind")
            size += len(entry.content or b"")
            if size > _MAX_CREATED_BYTES:
                raise PreloadRejected(module, "leaves more than 1 MiB of files behind")
            found.append(entry)
        return found

    def _entries(self) -> typing.Iterator[tuple[str, str]]:
        """Yield where each entry lies and which path it has, parents first."""
        for directory, shown in self.written:
            for parent, names, files in os.walk(directory):
                names[:] = [name for name in names if not os.path.ismount(os.path.join(parent, name))]
                for name in (*names, *files):
                    location = os.path.join(parent, name)
                    yield location, shown + location[len(directory) :]


def _read_entry(location: str, path: str) -> CreatedFile | None:
    mode = os.lstat(location).st_mode
    if stat.S_ISDIR(mode):
        return CreatedFile(path, mode, None)
    if stat.S_ISLNK(mode):
        return CreatedFile(path, mode, os.readlink(os.fsencode(location)))
    if not stat.S_ISREG(mode) or os.path.getsize(location) > _MAX_CREATED_BYTES:
        return None
    with open(location, "rb") as file:
        return CreatedFile(path, mode, file.read())


def restore_created_files(entries: list[CreatedFile]) -> None:
    """Create these entries again, with their modes. Parents precede their content."""
    for created in entries:
        if created.content is None:
            os.makedirs(created.path, exist_ok=True)
            os.chmod(created.path, stat.S_IMODE(created.mode))
        elif stat.S_ISLNK(created.mode):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(created.path)
            os.symlink(created.content, os.fsencode(created.path))
        else:
            with open(created.path, "wb") as file:
                file.write(created.content)
            os.chmod(created.path, stat.S_IMODE(created.mode))
