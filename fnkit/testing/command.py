"""Runs the ``fnkit`` command: tests use the platform through it, like everybody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fnkit.errors import FnkitError

COMMAND_VARIABLE: Final = "FNKIT_COMMAND"
"""Names the program ``fnkit`` that tests use; ``fnkit test`` sets it to itself."""
_TIMEOUT: Final = 600


def find_command() -> str:
    """Return the path of the ``fnkit`` command.

    Raises:
        FnkitError: ``no-fnkit-command``.
    """
    beside = Path(sys.executable).with_name("fnkit")
    found = os.environ.get(COMMAND_VARIABLE) or (str(beside) if beside.is_file() else shutil.which("fnkit"))
    if not found:
        raise FnkitError(
            "The command fnkit, which runs the platform of tests, was not found.",
            code="no-fnkit-command",
            hint=f"Run the tests with `fnkit test`, or name the command in {COMMAND_VARIABLE}.",
        )
    return found


def run_command(
    arguments: tuple[str, ...],
    *,
    home: Path,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a command with ``--json``, and return its document.

    Args:
        arguments: The command and its arguments.
        home: The data directory of the platform.
        directory: The working directory.
        variables: Further environment variables.

    Raises:
        FnkitError: It failed, with its own code, message and hint; all problems of an invalid project are named.
    """
    done = subprocess.run(
        [find_command(), *arguments, "--json"],
        cwd=directory,
        env={**os.environ, **(variables or {}), "FNKIT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    try:
        document = json.loads(done.stdout or "{}")
    except ValueError:
        document = {}
    if done.returncode == 0:
        return dict(document)
    raise _failure(arguments[0], document if isinstance(document, dict) else {}, done.stderr)


def _failure(command: str, document: dict[str, Any], stderr: str) -> FnkitError:
    error = document.get("error") or {}
    problems = [str(one.get("message")) for one in document.get("problems") or ()]
    message = error.get("message") or "; ".join(problems) or stderr.strip() or f"fnkit {command} failed"
    return FnkitError(str(message), code=error.get("code") or "command-failed", hint=error.get("hint"))
