"""Validates the settings of functions, namespaces and stages.

Each check adds its problems to a ``ProblemList`` and returns a valid value, usually the documented default, so that
validation continues. ``subject`` is the start of each message, such as a function's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.contract.durations import parse_duration
from fnkit.contract.enums import HttpOption, Privacy, Sandbox
from fnkit.contract.limits import (
    CPU_BY_MEMORY,
    DEFAULT_MAX_SCALE,
    DEFAULT_MEMORY,
    DEFAULT_MIN_SCALE,
    DEFAULT_TIMEOUT_SECONDS,
    SCALE_MAX,
    TIMEOUT_MAX_SECONDS,
    TIMEOUT_MIN_SECONDS,
)
from fnkit.project.findings import ProblemList, did_you_mean
from fnkit.project.model import SourceLocation

__all__ = ["EnumeratedSettings", "validate_memory", "validate_scale", "validate_timeout", "validate_choices"]

_NANOSECONDS_PER_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumeratedSettings:
    """The settings that take one of a fixed set of values."""

    privacy: str
    http_option: str
    sandbox: str
    change_detection: str


def validate_memory(memory: int | None, subject: str, source: SourceLocation, problems: ProblemList) -> int:
    """Return the memory in MB."""
    if memory is None or memory in CPU_BY_MEMORY:
        return DEFAULT_MEMORY if memory is None else memory
    larger = next((tier for tier in CPU_BY_MEMORY if tier > memory), max(CPU_BY_MEMORY))
    tiers = ", ".join(map(str, CPU_BY_MEMORY))
    hint = f"The tiers are {tiers}; the next one is {larger}."
    problems.add(
        "bad-memory", f"{subject}: {memory} MB of memory is not one of the platform's tiers.", hint, source
    )
    return DEFAULT_MEMORY


def validate_scale(
    declaration: FunctionDeclaration, subject: str, source: SourceLocation, problems: ProblemList
) -> tuple[int, int]:
    """Return ``min_scale`` and ``max_scale``.

    An unset ``max_scale`` becomes ``min_scale`` if that is larger than the default.
    """
    low = DEFAULT_MIN_SCALE if declaration.min_scale is None else declaration.min_scale
    high = max(DEFAULT_MAX_SCALE, low) if declaration.max_scale is None else declaration.max_scale
    fine = True
    for name, value, least in (("min_scale", low, 0), ("max_scale", high, 1)):
        # An unset max_scale follows min_scale, so its range error would only repeat that of min_scale.
        if not least <= value <= SCALE_MAX and not (name == "max_scale" and declaration.max_scale is None):
            message = f"{subject}: {name} is {value}, but must be from {least} to {SCALE_MAX}."
            problems.add("bad-scale", message, None, source)
            fine = False
    if fine and low > high:
        problems.add("bad-scale", f"{subject}: min_scale {low} is more than max_scale {high}.", None, source)
        fine = False
    return (low, high) if fine else (DEFAULT_MIN_SCALE, DEFAULT_MAX_SCALE)


def validate_timeout(
    timeout: str | float | None, subject: str, source: SourceLocation, problems: ProblemList
) -> int:
    """Return the timeout in nanoseconds."""
    if timeout is None:
        return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND
    seconds = parse_duration(timeout)
    if seconds is None:
        hint = 'Use a number of seconds, or a duration such as "30s", "5m" or "1h".'
        problems.add("bad-timeout", f"{subject}: {timeout!r} is not a duration.", hint, source)
    elif not TIMEOUT_MIN_SECONDS <= seconds <= TIMEOUT_MAX_SECONDS:
        message = (
            f"{subject}: a timeout must be from {TIMEOUT_MIN_SECONDS} s to {TIMEOUT_MAX_SECONDS} s, "
            f"not {seconds:g} s."
        )
        problems.add("bad-timeout", message, None, source)
    else:
        return round(seconds * _NANOSECONDS_PER_SECOND)
    return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND


def validate_choices(
    declaration: FunctionDeclaration, subject: str, source: SourceLocation, problems: ProblemList
) -> EnumeratedSettings:
    """Return the settings that take one of a fixed set of values."""
    return EnumeratedSettings(
        privacy=_validate_choice("privacy", declaration.privacy, tuple(Privacy), subject, source, problems),
        http_option=_validate_choice(
            "http_option", declaration.http_option, tuple(HttpOption), subject, source, problems
        ),
        sandbox=_validate_choice(
            "sandbox", declaration.sandbox, (Sandbox.V2, Sandbox.V1), subject, source, problems
        ),
        change_detection=_validate_choice(
            "change_detection", declaration.change_detection, ("function", "project"), subject, source, problems
        ),
    )


def _validate_choice(
    setting: str,
    value: str | None,
    choices: Iterable[str],
    subject: str,
    source: SourceLocation,
    problems: ProblemList,
) -> str:
    """Return the value of a setting; its first choice is the default."""
    known = [str(choice) for choice in choices]
    if value is None:
        return known[0]
    if value in known:
        return value
    hint = did_you_mean(value, known) or f"Use {' or '.join(known)}."
    problems.add("bad-choice", f"{subject}: {value!r} is not a valid value of {setting}.", hint, source)
    return known[0]
