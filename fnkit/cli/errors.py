"""Converts exceptions to failures and writes them: as text on stderr, or as the JSON document on stdout.

Errors of click, of the operating system and of fnkit get the same form here: exit code, error code, message, hint,
and location (``docs/cli.md``, Failures).
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

from fnkit.cli.output import JsonDocument, json_fields
from fnkit.contract.text import escape_control_characters
from fnkit.errors import FnkitError, Problem, ProjectInvalid

EXIT_INTERRUPTED: Final = 130

_OS_ERROR_HINTS: Final = {
    errno.ENOSPC: "Free some space on the disk and run the command again. No partly written file remains.",
    errno.EDQUOT: "The disk quota is exhausted. Free some space and run the command again.",
    errno.EACCES: "Check the owner and the permissions of the file or directory.",
    errno.EPERM: "Check the owner and the permissions of the file or directory.",
    errno.EROFS: "The file system is read-only. Choose another directory.",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`).",
}


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """The failure of one run. ``problems`` lists all problems of an invalid project, and is empty otherwise."""

    exit_code: int
    error: Problem
    problems: tuple[Problem, ...] = ()


def failure_from(error: BaseException) -> CommandFailure:
    """Convert an exception to a failure. An unexpected exception is saved as a crash report."""
    match error:
        case ProjectInvalid():
            return CommandFailure(error.exit_code, Problem(error.code, error.message), error.problems)
        case FnkitError():
            problem = Problem(error.code, error.message, error.hint, error.file, error.line)
            return CommandFailure(error.exit_code, problem, getattr(error, "problems", ()))
        case click.ClickException():
            return CommandFailure(error.exit_code, _problem_from_click(error))
        case click.Abort() | KeyboardInterrupt():
            return CommandFailure(EXIT_INTERRUPTED, Problem("interrupted", "Interrupted."))
        case OSError():
            return CommandFailure(1, _problem_from_os_error(error))
        case _:
            return CommandFailure(1, _report_crash(error))


def render_failure(failure: CommandFailure, document: JsonDocument, *, as_json: bool, colour: bool) -> None:
    """Write a failure, as JSON on stdout or as text on stderr.

    After a result, stdout already holds its one JSON document; the failure then goes to stderr as text.
    """
    if as_json and document.write(_failure_to_json(failure)):
        return
    for problem in failure.problems:
        _echo_problem(problem, colour=colour)
    _echo_problem(failure.error, colour=colour)


def problem_to_json(problem: Problem | FnkitError) -> dict[str, object]:
    """Return the JSON object of a problem or an error, which always has the same five keys."""
    return json_fields(problem, "code", "message", "hint", "file", "line")


def problem_location(problem: Problem) -> str:
    """Return the start of a problem's line of text: ``file:line: ``, or less where it has less."""
    if problem.file is None:
        return ""
    return f"{problem.file}:{problem.line}: " if problem.line is not None else f"{problem.file}: "


def problem_label(problem: Problem | FnkitError, word: str = "error") -> str:
    """Return ``error[code]:``, with which a problem's text begins and `fnkit explain` can be asked."""
    return f"{word}[{problem.code}]:"


def _failure_to_json(failure: CommandFailure) -> dict[str, object]:
    if failure.problems:
        return {"problems": [problem_to_json(problem) for problem in failure.problems]}
    return {"error": problem_to_json(failure.error)}


def _echo_problem(problem: Problem, *, colour: bool) -> None:
    location, message, hint = (
        escape_control_characters(text, multiline=True)
        for text in (problem_location(problem), problem.message, problem.hint or "")
    )
    text = f"{location}{click.style(problem_label(problem), fg='red', bold=True)} {message}"
    if problem.code == "interrupted":
        text = message
    if hint:
        text += f"\n  {click.style('hint:', fg='cyan', bold=True)} {hint}"
    click.echo(text, err=True, color=None if colour else False)


def _problem_from_click(error: click.ClickException) -> Problem:
    """Convert an error of click, with a hint at the help of the command."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "fnkit"
    if type(error).__name__ == "NoArgsIsHelpError":  # by name: the oldest supported click lacks it
        return Problem("usage", f"`{path}` needs a command.", hint=f"Run `{path} --help` for a list.")
    return Problem("usage", error.format_message(), hint=f"Run `{path} --help` for usage.")


def _problem_from_os_error(error: OSError) -> Problem:
    """Convert an error of the operating system, with the file that it concerns."""
    what = error.strerror or str(error) or type(error).__name__
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    hint = _OS_ERROR_HINTS.get(error.errno or 0)
    return Problem("operating-system", f"{what}{where}", hint)


def _report_crash(error: BaseException) -> Problem:
    """Save the traceback in a file that only the user can read, and convert the exception.

    Local variables are left out of the report: they may hold secrets.
    """
    trace = "".join(traceback.format_exception(error))
    if os.environ.get("FNKIT_TRACEBACK") == "1":
        sys.stderr.write(trace)
    try:
        descriptor, report = tempfile.mkstemp(prefix="fnkit-crash-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
    except OSError:
        hint = "Set FNKIT_TRACEBACK=1 to print the traceback."
    else:
        hint = f"This is a bug in fnkit. The crash report is in {report}."
    return Problem("internal-error", f"An unexpected error occurred ({type(error).__name__}).", hint)
