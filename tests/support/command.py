"""Runs the installed ``fnkit`` command in a child process. ``fnkit explain`` must know each error that it shows."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fnkit.cli.error_table import error_explanations

__all__ = ["FNKIT", "Command", "Completed", "interrupt"]

FNKIT = Path(sys.executable).parent / "fnkit"
SHOWN_CODE = re.compile(r"\berror\[([a-z0-9-]+)\]")


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of a run."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        """Return the JSON object on stdout; fail if stdout has anything else."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        if isinstance(error := document.get("error"), dict) and "code" in error:
            assert error["code"] in error_explanations()
        return document

    def ok(self) -> Completed:
        """Return this result if the exit code is 0; else fail with the whole output."""
        assert self.code == 0, f"fnkit {' '.join(self.arguments)} → {self.code}\n{self.stdout}\n{self.stderr}"
        return self


@dataclass(frozen=True, slots=True)
class Command:
    """``fnkit`` with extra environment variables; ``None`` removes one."""

    environment: Mapping[str, str | None] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float | None = None,
        **variables: str | None,
    ) -> Completed:
        """Run the command and return its result. By default, only the time of the test limits it."""
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
        unexplained = set(SHOWN_CODE.findall(done.stderr)) - set(error_explanations())
        assert not unexplained, f"fnkit explain knows none of {unexplained}"
        return Completed(arguments, done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, cwd: Path | None = None, **variables: str | None) -> subprocess.Popen[str]:
        """Start the command without waiting. The caller must end it (``interrupt`` or ``kill``) and wait for it."""
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
    """Send SIGINT to the process group, as Ctrl-C does, and wait for the exit."""
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    return Completed(arguments, process.returncode, stdout, stderr)
