"""Everything that can go wrong in a way its reader can do something about.

The tree::

    FnkitError
    ├── UsageError              the command was called wrongly              (exit 2)
    ├── ProjectError            the project cannot be used as it stands     (exit 2)
    │   └── ProjectInvalid      … for all these reasons at once
    ├── BundleError             an archive could not be built
    ├── ApiError                the Functions API said no
    │   ├── ApiUnreachable      … or could not be reached
    │   ├── AuthenticationError 401, 403
    │   ├── NotFoundError       404
    │   └── ConflictError       409
    ├── DeployError             a deploy ended before everything was made so
    ├── InvokeError             a handler could not be run here
    └── PlatformError           the platform on this machine

A message says what happened and where; a hint says what to do; a code names the case for scripts and for
``docs/errors.md``. Rendering them is the command line's work, once. This module ships inside every Python
bundle: standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "ApiError",
    "ApiUnreachable",
    "AuthenticationError",
    "BundleError",
    "ConflictError",
    "DeployError",
    "FnkitError",
    "InvokeError",
    "NotFoundError",
    "PlatformError",
    "Problem",
    "ProjectError",
    "ProjectInvalid",
    "UsageError",
]


class FnkitError(Exception):
    """The root. ``message`` and ``hint`` are whole sentences without secrets; ``code`` is stable.

    ``code`` defaults to the class's own; a raiser gives a narrower one where a reader can do something
    different about it. Codes are lower-case words joined with dashes and stand in ``docs/errors.md``.
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
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.file = file
        self.line = line


class UsageError(FnkitError):
    """The command was called wrongly."""

    default_code = "usage"
    exit_code = 2


class ProjectError(FnkitError):
    """The project cannot be used as it stands."""

    default_code = "project"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a project: what, where, and what to do about it.

    ``file`` is relative to the project's folder, with ``/``; ``line`` counts from 1.
    """

    code: str
    message: str
    hint: str | None = None
    file: str | None = None
    line: int | None = None


class ProjectInvalid(ProjectError):
    """All of a project's problems at once."""

    default_code = "project-invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = len(problems)
        super().__init__(f"The project has {count} problem{'s' if count != 1 else ''}.")
        self.problems = problems


class BundleError(FnkitError):
    """An archive could not be built."""

    default_code = "bundle"


class ApiError(FnkitError):
    """The Functions API refused a request.

    ``status`` is the HTTP status (0 when there was no answer), ``body_type`` the error's ``type`` where it
    has one (``transient_state``, ``quotas_exceeded``, …).
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
    """No usable answer came: refused, timed out, cut off, or not the API at all."""

    default_code = "api-unreachable"


class AuthenticationError(ApiError):
    """401 or 403: the key is missing, wrong, or may not do this."""

    default_code = "authentication"


class NotFoundError(ApiError):
    """404: the resource does not exist."""

    default_code = "not-found"


class ConflictError(ApiError):
    """409: the name is taken, or the resource is in a transient state."""

    default_code = "conflict"


class DeployError(FnkitError):
    """A deploy ended before everything was made so."""

    default_code = "deploy-failed"


class InvokeError(FnkitError):
    """A handler could not be run here."""

    default_code = "invoke"


class PlatformError(FnkitError):
    """The platform on this machine cannot do what was asked."""

    default_code = "platform"
