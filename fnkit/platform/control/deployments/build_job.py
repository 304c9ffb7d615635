"""One build: its input, its progress, its errors and its log."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from fnkit.contract.limits import BUILD_MAX_SECONDS, UNPACKED_MAX_BYTES
from fnkit.errors import PlatformError
from fnkit.platform.control.deployments.dependencies import DependencyStore

BUILD_ERROR: Final = "an error occurred during function source code build step"
"""The ``error_message`` of the real platform, recorded. The build log has the details, as there."""
STEPS: Final = (
    "step 1 of 3: function build preparation in progress",
    "step 2 of 3: function build in progress",
    "step 3 of 3: function image is being pushed to container registry",
)
"""The ``build_message`` values of the real platform, recorded, in order."""

_MAX_SEGMENT_BYTES: Final = 1024 * 1024
_MAX_LINE_CHARACTERS: Final = 64 * 1024
_MIN_MEMORY: Final = 1024**3


class BuildLog:
    """Appends ``{"at", "stream": "build", "generation", "message"}`` lines to ``build.jsonl`` (mode 0600).

    A log that cannot be written never fails a build.
    """

    def __init__(self, folder: Path, generation: int, now: Callable[[], str]) -> None:
        self._file = folder / "build.jsonl"
        self._generation = generation
        self._now = now

    def write(self, message: str) -> None:
        """Append a line."""
        line = msgspec.json.encode(
            {
                "at": self._now(),
                "stream": "build",
                "generation": self._generation,
                "message": message[:_MAX_LINE_CHARACTERS],
            }
        )
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line + b"\n")
                full = os.fstat(descriptor).st_size > _MAX_SEGMENT_BYTES
            finally:
                os.close(descriptor)
            if full:
                self._file.replace(self._file.with_name("build.1.jsonl"))


class BuildFailed(PlatformError):
    """The archive cannot become a deployment.

    Attributes:
        detail: The cause, for the build log.
    """

    default_code = "build-failed"

    def __init__(self, detail: str, *, message: str = BUILD_ERROR) -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """What one build may use.

    Attributes:
        seconds: From the start of the build.
        memory: Bytes of memory of all its processes together, and of each.
        processes: Processes and threads.
        disk: Bytes of all files that it writes, what it keeps for the next build included.
    """

    seconds: float = BUILD_MAX_SECONDS
    memory: int = field(default_factory=lambda: max(_MIN_MEMORY, _machine_memory() // 2))
    processes: int = 512 + 32 * (os.cpu_count() or 1)
    disk: int = 8 * 1024**3


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class BuildStopped(Exception):
    """The build was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """The input of a build.

    Attributes:
        archive: The open zip file.
        target: The directory to create.
        uid: The user that becomes its owner; 0 for no change.
        progress: Called with one of ``STEPS``, from any thread.
        dependencies: The kept dependencies of the function; ``None`` to keep none.
        interpreter: The program of the function's toolchain: the interpreter, which also compiles Python's sources
            (``None`` to skip that), ``go`` or ``cargo``.
        cache: A directory of the function that its next build finds again; ``None`` to keep nothing.
        libraries: The directory of compiled standard libraries; ``None`` to compile them in each cache.
        isolation: The level of the sandbox of build tools; empty for the strongest of this machine.
        unpacked_max: The largest unpacked size in bytes.
        limits: What the build may use.
        deadline: When the build fails, on the clock ``now``; ``build`` sets it, so that waiting for a thread does
            not count.
        now: A monotonic clock, in seconds.
        stop: Set to stop the build.
    """

    runtime: str
    handler: str
    archive: BinaryIO
    target: Path
    uid: int
    log: BuildLog
    progress: Callable[[str], None]
    dependencies: DependencyStore | None = None
    interpreter: str | None = None
    cache: Path | None = None
    libraries: Path | None = None
    isolation: str = ""
    unpacked_max: int = UNPACKED_MAX_BYTES
    limits: BuildLimits = field(default_factory=BuildLimits)
    deadline: float = math.inf
    now: Callable[[], float] = time.monotonic
    stop: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> BuildJob:
        """Return the job with its deadline."""
        return dataclasses.replace(self, deadline=self.now() + self.limits.seconds)

    def check(self) -> None:
        """Check whether the build may continue.

        Raises:
            BuildStopped: The build was stopped.
            BuildFailed: The build takes too long.
        """
        if self.stop.is_set():
            raise BuildStopped
        if self.now() > self.deadline:
            raise BuildFailed(f"The build was ended: it took longer than {_duration(self.limits.seconds)}.")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:g} minutes" if minutes and not rest else f"{seconds:g} seconds"
