"""What happens while a project is developed. Frozen values; the command line shows them."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.errors import FnkitError, Problem, ProjectInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFunction:
    """A function that answers.

    Attributes:
        id: Its id on the platform.
        name: Its name.
        url: Its URL by host name, or by path where this machine does not resolve the host name.
        path_url: Its URL by path.
        is_private: Whether it needs a token.
        crons: Names and ids of its crons.
        triggers: Names, ids and addresses of its triggers.
    """

    id: str
    name: str
    url: str
    path_url: str
    is_private: bool
    crons: tuple[tuple[str, str], ...] = ()
    triggers: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedChange:
    """What became of one function.

    Attributes:
        action: ``created``, ``updated``, ``replaced``, ``deleted``, ``kept``, or ``reloaded``: files of its code
            were replaced.
        failure: Why it failed, and its earlier version serves on; ``None`` if it did not.
    """

    name: str
    action: str
    failure: FnkitError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The project was deployed, or a change of it.

    Attributes:
        changes: The functions that changed. Empty if crons or triggers changed only.
        functions: All functions that answer now.
        seconds: How long it took, from the first notice of the change.
        failures: Failures that concern no single function.
        notes: Sentences for the user.
    """

    changes: tuple[ServedChange, ...]
    functions: tuple[ServedFunction, ...]
    seconds: float
    failures: tuple[FnkitError, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The project cannot be deployed as it is. What was deployed before serves on."""

    problems: tuple[Problem, ...]


def rejected_because_of(error: FnkitError) -> Rejected:
    """Return the problems of an error."""
    if isinstance(error, ProjectInvalid):
        return Rejected(problems=error.problems)
    return Rejected(problems=(error.as_problem(),))
