"""The installed ``fnkit`` command, run as a user runs it: a child process with arguments, files and pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FNKIT", "Command", "Completed", "interrupt"]

FNKIT = Path(sys.executable).parent / "fnkit"


@dataclass(frozen=True, slots=True)
class Completed:
    """What a run left behind."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        """The one document on stdout; fails when there is anything else."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        return document

    def ok(self) -> Completed:
        """Itself, when it ended well; else a failure that shows everything it said."""
        assert self.code == 0, f"fnkit {' '.join(self.arguments)} → {self.code}\n{self.stdout}\n{self.stderr}"
        return self


@dataclass(frozen=True, slots=True)
class Command:
    """``fnkit`` with extra environment variables; ``None`` takes one away."""

    environment: Mapping[str, str | None] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float = 100,
        **variables: str | None,
    ) -> Completed:
        """Run it to its end."""
        done = subprocess.run(
            [str(FNKIT), *arguments],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=self._environment(variables),
            timeout=timeout,
            check=False,
        )
        return Completed(arguments, done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, cwd: Path | None = None, **variables: str | None) -> subprocess.Popen[str]:
        """Start it and go on. The caller ends it (``interrupt`` or ``kill``) and waits for it."""
        return subprocess.Popen(
            [str(FNKIT), *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self._environment(variables),
            start_new_session=True,
        )

    def _environment(self, variables: Mapping[str, str | None]) -> dict[str, str]:
        merged: dict[str, str | None] = {**os.environ, **self.environment, **variables}
        return {name: value for name, value in merged.items() if value is not None}


def interrupt(process: subprocess.Popen[str], arguments: tuple[str, ...] = ()) -> Completed:
    """Press Ctrl-C and wait for the end."""
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    return Completed(arguments, process.returncode, stdout, stderr)
