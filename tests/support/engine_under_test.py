"""The engine of the platforms and data planes that tests start, which ``pytest --engine`` chooses.

Tests start them with plain functions, such as ``running_platform``, so the engine is a value of this module.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.platform.model.routing import ImageProgram, LocalProgram
from tests.support.processes import descendants

__all__ = ["EngineUnderTest", "InstanceOwner", "engine_under_test", "using_engine"]


@dataclass(frozen=True, slots=True)
class InstanceOwner:
    """A data plane, of which instances are wanted.

    Attributes:
        pid: Its process.
        kube_namespace: The namespace of its Pods; empty with the engine of this machine.
    """

    pid: int
    kube_namespace: str = ""


class EngineUnderTest(ABC):
    """An engine, as tests need it.

    Attributes:
        host: The address of this machine by which handlers reach the servers of a test.
    """

    host: str

    @abstractmethod
    def platform_options(self) -> AbstractContextManager[tuple[str, ...]]:
        """Return the options of ``fnkit platform start``, which are valid within the context."""

    @abstractmethod
    def data_plane_settings(self) -> AbstractContextManager[dict[str, object]]:
        """Return fields of ``ProcessSettings`` for a data plane, which are valid within the context."""

    @abstractmethod
    def program(self, code: Path, interpreter: str) -> LocalProgram | ImageProgram:
        """Return what an instance runs, for the files in a directory."""

    @abstractmethod
    def require_local(self, what: str) -> None:
        """Skip the test if instances are no processes of this machine.

        Args:
            what: What the test needs, which exists on this machine only.
        """

    @abstractmethod
    def instances(self, owner: InstanceOwner, function: str = "") -> list[str]:
        """Return the names of the instances of a data plane.

        Args:
            owner: The data plane.
            function: The name of a function, to return only its instances.
        """

    @abstractmethod
    def kill_instance(self, owner: InstanceOwner, name: str) -> None:
        """Kill an instance. It is no error if it has ended."""


class _LocalEngine(EngineUnderTest):
    """Instances are processes of this machine, and named by their pids."""

    host = "127.0.0.1"

    def platform_options(self) -> AbstractContextManager[tuple[str, ...]]:
        return nullcontext(("--api-port", "0"))

    def data_plane_settings(self) -> AbstractContextManager[dict[str, object]]:
        return nullcontext({})

    def program(self, code: Path, interpreter: str) -> LocalProgram:
        return LocalProgram(interpreter=interpreter, code_dir=str(code))

    def require_local(self, what: str) -> None:
        """Do nothing."""

    def instances(self, owner: InstanceOwner, function: str = "") -> list[str]:
        """Return the processes without children: handlers see pids of their own namespace, not these.

        The host name of an instance is the name of its function, unless it has no namespaces.
        """
        found = [pid for pid in sorted(descendants(owner.pid)) if not descendants(pid)]
        return [str(pid) for pid in found if not function or _host_name(pid) == function]

    def kill_instance(self, owner: InstanceOwner, name: str) -> None:
        del owner
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(name), signal.SIGKILL)


def _host_name(pid: int) -> str:
    command = ["nsenter", f"--uts=/proc/{pid}/ns/uts", "hostname"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


_stack: Final[list[EngineUnderTest]] = [_LocalEngine()]


def engine_under_test() -> EngineUnderTest:
    """Return the engine of platforms and data planes that are started now."""
    return _stack[-1]


@contextmanager
def using_engine(engine: EngineUnderTest) -> Iterator[None]:
    """Use another engine than that of this machine."""
    _stack.append(engine)
    try:
        yield
    finally:
        _stack.remove(engine)
