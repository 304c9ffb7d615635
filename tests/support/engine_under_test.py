"""The engine of the platforms and data planes that tests start, which ``pytest --engine`` chooses.

Tests start them with plain functions, such as ``running_platform``, so the engine is a value of this module.
"""

from __future__ import annotations

import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from fnkit.platform.model.routing import ImageProgram, LocalProgram
from tests.support.processes import descendants

__all__ = ["EngineUnderTest", "engine_under_test", "using_engine"]


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
    def instances(self, run: Mapping[str, object]) -> list[str]:
        """Return the names of a platform's instances.

        Args:
            run: Its run file.
        """

    @abstractmethod
    def kill_instance(self, run: Mapping[str, object], name: str) -> None:
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

    def instances(self, run: Mapping[str, object]) -> list[str]:
        """Return the processes without children: handlers see pids of their own namespace, not these."""
        data_plane = int(str(run["data_plane"]))
        return [str(pid) for pid in sorted(descendants(data_plane)) if not descendants(pid)]

    def kill_instance(self, run: Mapping[str, object], name: str) -> None:
        del run
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(name), signal.SIGKILL)


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
