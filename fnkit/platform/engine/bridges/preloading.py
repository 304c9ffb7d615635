"""A deployment zygote: imports a function's third-party modules once, behind the function's own walls.

It runs none of the function's own modules and is told no secret. A module stays out, and is named, when an instance
that found it imported could answer otherwise than one that imports it itself: when it starts threads or processes,
keeps something open, reads a variable that is secret or differs from one instance to the next, or reaches into the
function's own modules. The zygote then ends, and another one is forked that knows what to leave out: nothing of the
attempt stays.

Standard library of Python 3.8 and later.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import socket
import sys
import threading
import time
import typing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.platform.engine.bridges import imports, leftovers, serving
else:
    import imports
    import leftovers
    import serving

_THREAD_COUNTS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""How many threads numerical libraries start when they are loaded; seen by them alone, not by Python."""


class LeftOut(Exception):
    """This module must not be preloaded. ``why`` completes the sentence “numpy …”."""

    def __init__(self, module: str, why: str) -> None:
        super().__init__(module, why)
        self.module = module
        self.why = why


class Preloaded:
    """What a deployment zygote holds for its instances beside imported modules."""

    def __init__(self) -> None:
        self.modules = []  # type: list[str]
        self.seconds = 0.0
        self.variables = {}  # type: dict[str, str | None]
        self.files = []  # type: list[leftovers.Leftover]

    def hand_over(self, environment: dict[str, str]) -> None:
        """Do in a fork what the imports did to the environment, and what forks must not share: randomness."""
        serving.use_environment(environment)
        for name, value in self.variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        numbers = sys.modules.get("numpy.random")
        if numbers is not None:
            numbers.seed()


def preload(settings: dict[str, typing.Any], *, keeps_files: bool) -> Preloaded:
    """Import what the handler imports. Raises ``LeftOut`` for the first module that must stay out.

    settings: handler, root, environment (without secrets), secrets (their names), left_out. keeps_files: each
    instance has a disk of its own at the same place, on which what the imports wrote can be written again.
    """
    serving.use_environment(settings["environment"])
    sys.path[:] = serving.search_path(settings["handler"], settings["root"])
    done = Preloaded()
    writable = settings["writable"]
    with _one_thread_for_numbers(), _Watch(frozenset(settings["secrets"])) as watch:
        state = _State(settings["root"])
        for wanted in imports.handler_imports(settings["handler"], settings["root"]):
            if wanted.name in settings["left_out"]:
                continue
            before = set(sys.modules)
            started = time.process_time()
            try:
                _import(wanted)
            except LeftOut:
                watch.check(wanted.name)  # the cause is worth more than the effect
                raise
            if any("/package/" in (getattr(sys.modules[name], "__file__", None) or "") for name in
                   set(sys.modules) - before if name in sys.modules):  # fmt: skip
                done.seconds += time.process_time() - started
                done.modules.append(wanted.name)
            watch.check(wanted.name)
            state.check(wanted.name, set(sys.modules) - before)
            done.files = leftovers.read(writable, wanted.name, LeftOut, keeps_files=keeps_files)
    before_imports = settings["environment"]
    now = dict(os.environ)
    done.variables = {name: now.get(name) for name in {*now, *before_imports}
                      if now.get(name) != before_imports.get(name)}  # fmt: skip
    return done


def report(connection: socket.socket, settings: dict[str, typing.Any], *, keeps_files: bool) -> Preloaded | None:
    """Preload and say what came of it; ``None`` when this zygote is to end."""
    try:
        done = preload(settings, keeps_files=keeps_files)
    except LeftOut as found:
        serving.say(connection, {"left_out": found.module, "why": found.why})
        return None
    serving.say(
        connection,
        {"ready": True, "modules": done.modules, "seconds": done.seconds, "memory": _own_memory()},
    )
    return done


def _import(wanted: imports.Import) -> None:
    try:
        module = importlib.import_module(wanted.name)
        for attribute in wanted.attributes:
            if not hasattr(module, attribute) and hasattr(module, "__path__"):
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(f"{wanted.name}.{attribute}")
    except BaseException as error:
        raise LeftOut(wanted.name, f"could not be imported ({type(error).__name__})") from None


class _State:
    """What this process has of its own, to be compared after each import."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.open = _open_descriptors()

    def check(self, name: str, loaded: set[str]) -> None:
        """Raise ``LeftOut`` when the import changed what a fork cannot have."""
        if threading.active_count() > 1 or _threads() > 1:
            raise LeftOut(name, "starts threads")
        if _has_children():
            raise LeftOut(name, "starts processes")
        if _open_descriptors() != self.open:
            raise LeftOut(name, "keeps a file or a socket open")
        for module in loaded:
            path = getattr(sys.modules.get(module), "__file__", None) or ""
            if imports.is_own(path, self.root):
                raise LeftOut(name, f"imports the function's own module {module}")


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _open_descriptors() -> set[str]:
    """Return what is open, with what it leads to: a number may have been closed and opened again."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found = set()
    for number in os.listdir(folder):
        try:
            os.fstat(int(number))
        except OSError:
            continue  # the listing's own
        with contextlib.suppress(OSError):
            found.add(f"{number} {os.readlink(f'{folder}/{number}') if folder != '/dev/fd' else ''}")
    return found


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _own_memory() -> int:
    """Return the resident bytes of this process, 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextlib.contextmanager
def _one_thread_for_numbers() -> typing.Iterator[None]:
    """Let numerical libraries start no threads, unless the function says how many it wants."""
    added = [name for name in _THREAD_COUNTS if name not in os.environ]
    library = ctypes.CDLL(None)
    for name in added:
        library.setenv(name.encode(), b"1", 1)
    try:
        yield
    finally:
        for name in added:
            if name not in os.environ:
                library.unsetenv(name.encode())


class _Watch:
    """Notices who reads a variable that this zygote cannot know."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.read = set()  # type: set[str]

    def __enter__(self) -> _Watch:  # noqa: PYI034  (Self is younger than 3.8)
        watch = self
        plain = type(os.environ)

        class Watched(plain):  # type: ignore[valid-type, misc]  # the class is os's own, and private
            def __getitem__(self, key: str) -> str:
                if key in watch.names:
                    watch.read.add(key)
                return typing.cast("str", super().__getitem__(key))

            def __iter__(self) -> typing.Iterator[str]:
                watch.read |= watch.names
                return super().__iter__()  # type: ignore[no-any-return]  # of a private class

        self._plain = plain
        os.environ.__class__ = Watched
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.__class__ = self._plain

    def check(self, module: str) -> None:
        """Raise ``LeftOut`` when one of them was read."""
        if self.read:
            raise LeftOut(module, f"reads the variable {min(self.read)}")
