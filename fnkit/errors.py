"""Exceptions that fnkit raises for failures a user can act on.

The hierarchy::

    FnkitError
    ├── UsageError              invalid command line                        (exit 2)
    ├── ProjectError            the project cannot be used                  (exit 2)
    │   └── ProjectInvalid      the project has one or more problems
    ├── BundleError             an archive could not be built
    ├── ApiError                the Functions API rejected a request
    │   ├── ApiUnreachable      no usable response
    │   ├── AuthenticationError 401, 403
    │   ├── NotFoundError       404
    │   └── ConflictError       409
    ├── DeployError             a deployment did not complete
    ├── InvokeError             a handler could not be run locally
    └── PlatformError           an operation of the local platform failed

The message states what happened and where, the hint states the remedy, and the code identifies the case for
scripts and in ``docs/errors.md``. Only the command line renders errors. This module ships inside every Python
bundle, so it imports only the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class FnkitError(Exception):
    """Base class of all fnkit exceptions.

    Attributes:
        message: One or more complete sentences, without secrets.
        code: A stable identifier: lower-case words joined with dashes, listed in ``docs/errors.md``. Defaults to
            the class's ``default_code``; callers pass a narrower one when the remedy differs.
        hint: What the user can do, as complete sentences, or ``None``.
        file: The file concerned, relative to the project folder, or ``None``.
        line: The line in ``file``, counted from 1, or ``None``.
        column: The first character in ``line``, counted from 1, or ``None``.
        end_column: The character after the last one, or ``None`` for the end of the line.
        exit_code: The exit status of the command line for this class of error.
    """

    default_code: ClassVar[str] = "error"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        end_column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.file = file
        self.line = line
        self.column = column
        self.end_column = end_column

    def as_problem(self) -> Problem:
        """Return the same facts as a value."""
        return Problem(self.code, self.message, self.hint, self.file, self.line, self.column, self.end_column)


class UsageError(FnkitError):
    """The command line is invalid."""

    default_code = "usage"
    exit_code = 2


class ProjectError(FnkitError):
    """The project cannot be used in its current state."""

    default_code = "project"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """A single problem of a project.

    Attributes:
        code: Identifier of the problem, explained in ``docs/errors.md``.
        message: What is wrong, as a complete sentence.
        hint: How to fix it, or ``None``.
        file: Path relative to the project folder, with ``/`` as separator.
        line: Line in ``file``, counted from 1.
        column: First character in ``line``, counted from 1; ``None`` if unknown. Only a problem with a column is
            shown with its source line, so a place that may hold a secret has none.
        end_column: The character after the last one; ``None`` for the end of the line.
    """

    code: str
    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_column: int | None = None


class ProjectInvalid(ProjectError):
    """The project has problems; ``problems`` lists all of them."""

    default_code = "project-invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = len(problems)
        super().__init__(f"The project has {count} problem{'s' if count != 1 else ''}.")
        self.problems = problems


class BundleError(FnkitError):
    """An archive could not be built."""

    default_code = "bundle"


class ApiError(FnkitError):
    """The Functions API rejected a request.

    Attributes:
        status: HTTP status code, or 0 if there was no response.
        body_type: The ``type`` field of the error body (``transient_state``, ``quotas_exceeded``, …), or ``None``.
    """

    default_code = "api"

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        body_type: str | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.status = status
        self.body_type = body_type


class ApiUnreachable(ApiError):
    """No usable response: connection refused, timed out or cut off, or the server is not the API."""

    default_code = "api-unreachable"


class AuthenticationError(ApiError):
    """401 or 403: the API key is missing, invalid, or lacks permission."""

    default_code = "authentication"


class NotFoundError(ApiError):
    """404: the resource does not exist."""

    default_code = "not-found"


class ConflictError(ApiError):
    """409: the name is already in use, or the resource is in a transient state."""

    default_code = "conflict"


class DeployError(FnkitError):
    """A deployment failed before all changes were applied."""

    default_code = "deploy-failed"


class InvokeError(FnkitError):
    """A handler could not be run on this machine."""

    default_code = "invoke"


class PlatformError(FnkitError):
    """The local platform cannot perform the requested operation."""

    default_code = "platform"
