"""What went wrong, said once: on stderr with its hint and its place, or as the one JSON document.

``explain`` turns any exception into a ``Failure``; ``render`` writes it. Only here do click's errors, the
operating system's and our own become the same shape (decision 16).
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import Final

import click

from fnkit.cli.output import Document
from fnkit.errors import FnkitError, Problem, ProjectInvalid

__all__ = ["Failure", "explain", "problem_to_json", "render"]

INTERRUPTED: Final = 130

_SYSTEM_HINTS: Final = {
    errno.ENOSPC: "Free some space on that disk and run the command again: nothing half-written is kept.",
    errno.EDQUOT: "Your disk quota is used up: free some space and run the command again.",
    errno.EACCES: "Check who owns that file or folder, and its permissions.",
    errno.EPERM: "Check who owns that file or folder, and its permissions.",
    errno.EROFS: "That file system is read-only: choose another folder.",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`).",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed run. ``problems`` is filled where a project has several things wrong with it."""

    exit_code: int
    error: Problem
    problems: tuple[Problem, ...] = ()


def explain(error: BaseException) -> Failure:
    """Turn whatever was raised into an answer; what nobody foresaw leaves a crash report."""
    match error:
        case ProjectInvalid():
            return Failure(error.exit_code, Problem(error.code, error.message), error.problems)
        case FnkitError():
            problem = Problem(error.code, error.message, error.hint, error.file, error.line)
            return Failure(error.exit_code, problem, getattr(error, "problems", ()))
        case click.ClickException():
            return Failure(error.exit_code, _from_click(error))
        case click.Abort() | KeyboardInterrupt():
            return Failure(INTERRUPTED, Problem("interrupted", "Interrupted."))
        case OSError():
            return Failure(1, _system(error))
        case _:
            return Failure(1, _crash(error))


def render(failure: Failure, document: Document, *, as_json: bool, colour: bool) -> None:
    """Write the failure: JSON on stdout where that was asked for, text on stderr otherwise."""
    if as_json and document.write(_to_json(failure)):
        return
    for problem in failure.problems:
        _echo_problem(problem, colour=colour)
    _echo_problem(failure.error, colour=colour)


def problem_to_json(problem: Problem) -> dict[str, object]:
    """A problem as it stands in JSON: always the same five keys."""
    return {
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "file": problem.file,
        "line": problem.line,
    }


def _to_json(failure: Failure) -> dict[str, object]:
    if failure.problems:
        return {"problems": [problem_to_json(problem) for problem in failure.problems]}
    return {"error": problem_to_json(failure.error)}


def _echo_problem(problem: Problem, *, colour: bool) -> None:
    place = ""
    if problem.file is not None:
        place = f"{problem.file}:{problem.line}: " if problem.line is not None else f"{problem.file}: "
    text = f"{place}{click.style('error:', fg='red', bold=True)} {problem.message}"
    if problem.code == "interrupted":
        text = problem.message
    if problem.hint:
        text += f"\n  {click.style('hint:', fg='cyan', bold=True)} {problem.hint}"
    click.echo(text, err=True, color=None if colour else False)


def _from_click(error: click.ClickException) -> Problem:
    """Click's message, and where to read on."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "fnkit"
    if type(error).__name__ == "NoArgsIsHelpError":  # newer than the oldest click we take
        return Problem("usage", f"`{path}` needs a command.", hint=f"`{path} --help` lists them.")
    return Problem("usage", error.format_message(), hint=f"`{path} --help` shows how it is used.")


def _system(error: OSError) -> Problem:
    """What the operating system refused, with the file it was about."""
    what = error.strerror or str(error) or type(error).__name__
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    hint = _SYSTEM_HINTS.get(error.errno or 0)
    return Problem("operating-system", f"{what}{where}", hint)


def _crash(error: BaseException) -> Problem:
    """Keep the traceback where its owner alone can read it; local variables are not part of it."""
    trace = "".join(traceback.format_exception(error))
    if os.environ.get("FNKIT_TRACEBACK") == "1":
        sys.stderr.write(trace)
    try:
        descriptor, report = tempfile.mkstemp(prefix="fnkit-crash-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except OSError:
        hint = "Set FNKIT_TRACEBACK=1 to see where."
    else:
        hint = f"This is a fault in fnkit; the crash report is in {report}."
    return Problem("internal-error", f"Something unforeseen went wrong ({type(error).__name__}).", hint)
