"""One build: its input, its progress, its errors and its log."""

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
"""The ``error_message`` of the real platform, recorded. The build log has the details, as there."""

STEPS: Final = (
    "step 1 of 3: function build preparation in progress",
    "step 2 of 3: function build in progress",
    "step 3 of 3: function image is being pushed to container registry",
)
"""The ``build_message`` values of the real platform, recorded, in order."""


class BuildFailed(PlatformError):
    """The archive cannot become a deployment.

    Attributes:
        detail: The cause, for the build log.
    """

    default_code = "build-failed"

    def __init__(self, detail: str, *, message: str = BUILD_ERROR) -> None:
        super().__init__(message)
        self.detail = detail


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
        interpreter: The Python that compiles the sources, which will also run them; ``None`` to skip that.
        stop: Set to stop the build.
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
        """Raise ``BuildStopped`` if the build was stopped."""
        if self.stop.is_set():
            raise BuildStopped
