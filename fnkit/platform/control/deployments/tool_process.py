"""The process of a build tool in its sandbox, and which sandbox this machine has.

The other end is ``fnkit/worker/python/run_build_tool.py``.
"""

from __future__ import annotations

import functools
import logging
import os
import selectors
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from fnkit import worker

NAMESPACES: Final = "namespaces"
NOT_MIRRORED: Final = 126
"""The exit code if the sources could not be copied."""
_LEVELS: Final = (NAMESPACES, "landlock")
_LAUNCHER: Final = Path(worker.__file__).parent / "python" / "launch.py"
_END_INTERVAL: Final = 0.005
_END_TIMEOUT: Final = 10
_CHUNK_BYTES: Final = 64 * 1024
_logger: Final = logging.getLogger(__name__)


class ToolOutcome(msgspec.Struct, frozen=True):
    """How a tool ended: see ``fnkit/worker/python/run_build_tool.py``."""

    exit: int
    ended: str
    detail: str = ""


class ToolProcess:
    """A tool that runs. When the context ends, it is killed with all its processes.

    Args:
        settings: What ``fnkit/worker/python/run_build_tool.py`` reads.
    """

    def __init__(self, settings: object) -> None:
        reading, self._input = os.pipe()
        self._output, writing = os.pipe()
        self._report, reporting = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), "run_build_tool"],
                env={},
                cwd="/",
                stdin=reading,
                stdout=writing,
                stderr=reporting,
                start_new_session=True,
            )
        finally:
            for descriptor in (reading, writing, reporting):
                os.close(descriptor)
        os.set_blocking(self._output, False)
        with suppress(BrokenPipeError):
            os.write(self._input, msgspec.json.encode(settings) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._input)
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._output)
        os.close(self._report)

    def is_running(self) -> bool:
        """Return whether it, or what watches it, has not ended."""
        return self._process.poll() is None

    def read(self, seconds: float) -> bytes:
        """Wait for output, and return it; empty if there is none for so long, or any more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            if not selector.select(seconds):
                return b""
        output = os.read(self._output, _CHUNK_BYTES)
        if not output and seconds:
            time.sleep(_END_INTERVAL)  # it has closed its output, but has not ended
        return output

    def outcome(self) -> ToolOutcome:
        """Return the outcome of a tool that has ended."""
        self._process.wait()
        try:
            return msgspec.json.decode(os.read(self._report, _CHUNK_BYTES), type=ToolOutcome)
        except msgspec.MsgspecError:
            return ToolOutcome(1, "killed")


@functools.cache
def build_isolation() -> str:
    """Return the strongest level that this machine has for build tools, whatever the level of instances is.

    Blocks for about 0.1 seconds at the first call.
    """
    for level in _LEVELS:
        with tempfile.TemporaryDirectory() as directory:
            settings: dict[str, object] = {
                "level": level,
                "uid": 0,
                "root": directory,
                "directories": [],
                "readable": [],
                "memory": 1 << 30,
                "total_memory": 1 << 30,
                "file_size": 1 << 30,
                "processes": 64,
                "arguments": ["/bin/sh", "-c", ":"],
                "environment": {},
                "directory": "/",
                "mirrors": [],
            }
            with ToolProcess(settings) as process:
                outcome = process.outcome()
        if not outcome.exit and not outcome.ended:
            return level
        _logger.info("Build tools cannot run at the level %s: %s", level, outcome.detail)
    _logger.warning("Build tools run without a sandbox: this machine has neither namespaces nor Landlock.")
    return "none"
