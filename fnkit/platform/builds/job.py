"""One build: what it is given, how it reports, how it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from fnkit.errors import PlatformError
from fnkit.platform.builds.log import BuildLog

__all__ = ["BUILD_ERROR", "STEPS", "BuildFailed", "BuildJob", "BuildStopped"]

BUILD_ERROR: Final = "an error occurred during function source code build step"
"""Recorded ``error_message``; what exactly happened stands in the build log, as with the real platform."""

STEPS: Final = (
    "step 1 of 3: function build preparation in progress",
    "step 2 of 3: function build in progress",
    "step 3 of 3: function image is being pushed to container registry",
)
"""Recorded ``build_message`` values, in their order."""


class BuildFailed(PlatformError):
    """The archive cannot become a deployment. ``detail`` says why, for the log."""

    default_code = "build-failed"

    def __init__(self, detail: str, *, message: str = BUILD_ERROR) -> None:
        super().__init__(message)
        self.detail = detail


class BuildStopped(Exception):
    """The build was told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """What a builder works on. ``archive`` is open; ``target`` does not exist yet; ``uid`` 0 changes no owner.

    ``interpreter``: the Python that will run it and that compiles it now; ``None`` compiles nothing.
    ``progress`` may be called from any thread with one of ``STEPS``.
    """

    function_id: str
    generation: int
    runtime: str
    handler: str
    archive: BinaryIO
    target: Path
    uid: int
    log: BuildLog
    progress: Callable[[str], None]
    interpreter: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise ``BuildStopped`` once the build was told to stop."""
        if self.stop.is_set():
            raise BuildStopped
