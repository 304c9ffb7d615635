"""Runs a compiler or package manager on the user's own code, as the user would: without a sandbox."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from fnkit.bundler.builds.environment import command_environment
from fnkit.errors import InvokeError
from fnkit.toolchains.build_step import BuildStep
from fnkit.worker.mirror import mirror

_TIMEOUT_SECONDS: Final = 40 * 60
_SHOWN_LINES: Final = 30


def run_step(step: BuildStep, name: str) -> None:
    """Run a build step of a function.

    Args:
        step: What to run.
        name: The name of the function.

    Raises:
        InvokeError: ``build-failed``, with the end of the tool's output.
    """
    tool = Path(step.arguments[0]).name
    try:
        for source, copy, kept in step.mirrors:
            mirror(str(source), str(copy), set(kept))
        result = subprocess.run(
            step.arguments,
            cwd=step.directory,
            env=_environment(step),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except OSError as error:
        raise _failed_error(name, f"{tool} could not be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise _failed_error(name, f"{tool} took longer than {_TIMEOUT_SECONDS // 60} minutes") from None
    if result.returncode != 0:
        lines = result.stdout.strip().splitlines()[-_SHOWN_LINES:]
        hints = [hint for part, hint in step.hints.items() if part in result.stdout]
        raise _failed_error(name, "\n".join([f"{tool} failed:", *lines]), hints[0] if hints else None)


def _environment(step: BuildStep) -> dict[str, str]:
    """Return the user's environment without keys and tokens; the tool finds its own toolchain first."""
    return {
        **command_environment(os.environ),
        "PATH": search_path_from(step.arguments[0]),
        **step.environment,
    }


def search_path_from(program: str) -> str:
    """Return the search path of the user, with the directory of a program first."""
    return os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", os.defpath)])


def _failed_error(name: str, reason: str, hint: str | None = None) -> InvokeError:
    return InvokeError(
        f"{name} could not be built: {reason}",
        code="build-failed",
        hint=hint or "Correct what it reports; a deploy would fail in the same way.",
    )
