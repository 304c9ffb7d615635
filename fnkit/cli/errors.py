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
from pathlib import Path
from typing import Final

import click

from fnkit.cli.output import JsonDocument, json_fields
from fnkit.cli.wrapping import terminal_width
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
            return CommandFailure(error.exit_code, error.as_problem(), getattr(error, "problems", ()))
        case click.ClickException():
            return CommandFailure(error.exit_code, _problem_from_click(error))
        case click.Abort() | KeyboardInterrupt():
            return CommandFailure(EXIT_INTERRUPTED, Problem("interrupted", "Interrupted."))
        case OSError():
            return CommandFailure(1, _problem_from_os_error(error))
        case _:
            return CommandFailure(1, _report_crash(error))


def render_failure(
    failure: CommandFailure, document: JsonDocument, *, as_json: bool, colour: bool, directory: Path | None = None
) -> None:
    """Write a failure, as JSON on stdout or as text on stderr.

    After a result, stdout already holds its one JSON document; the failure then goes to stderr as text.

    Args:
        failure: The failure.
        document: The JSON document of this run.
        as_json: Whether ``--json`` was given.
        colour: Whether colours are allowed.
        directory: A folder in the project, for source lines; ``None`` shows none.
    """
    if as_json and document.write(_failure_to_json(failure)):
        return
    if failure.error.code == "interrupted":
        click.echo(failure.error.message, err=True)
        return
    from fnkit.cli.views.problem import problem_text

    width = terminal_width(sys.stderr)
    root = None if directory is None else _project_root(directory)
    texts = [problem_text(problem, root, width=width) for problem in failure.problems]
    # The number of problems is news only if there are several.
    if failure.error.code != ProjectInvalid.default_code:
        texts.append(problem_text(failure.error, root, width=width))
    elif len(failure.problems) != 1:
        texts.append(problem_text(failure.error, None, width=width))
    separator = "\n\n" if len(failure.problems) > 0 else "\n"
    click.echo(separator.join(one.styled() for one in texts), err=True, color=None if colour else False)


def is_colour_allowed(*, no_color: bool) -> bool:
    """Return whether colours are allowed: by ``--no-color``, and by the variable ``NO_COLOR``."""
    return not no_color and not os.environ.get("NO_COLOR")


def _project_root(directory: Path) -> Path | None:
    from fnkit.project import find_root

    try:
        return find_root(directory)
    except OSError:
        return None


def problem_to_json(problem: Problem | FnkitError) -> dict[str, object]:
    """Return the JSON object of a problem or an error, which always has the same keys."""
    return json_fields(problem, "code", "message", "hint", "file", "line", "column", "end_column")


def problem_location(problem: Problem) -> str:
    """Return the start of a problem's line of text: ``file:line: ``, or less where it has less."""
    if problem.file is None:
        return ""
    return f"{problem.file}:{problem.line}: " if problem.line is not None else f"{problem.file}: "


def _failure_to_json(failure: CommandFailure) -> dict[str, object]:
    if failure.problems:
        return {"problems": [problem_to_json(problem) for problem in failure.problems]}
    return {"error": problem_to_json(failure.error)}


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
