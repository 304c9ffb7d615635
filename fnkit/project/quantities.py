"""Memory, scale, timeout, and the settings that take one of a few words."""

from __future__ import annotations

from collections.abc import Iterable
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
from fnkit.project.findings import Findings, did_you_mean
from fnkit.project.model import Source

__all__ = ["checked_memory", "checked_scale", "checked_timeout", "checked_words"]

_NANOSECONDS: Final = 10**9


def checked_memory(memory: int | None, subject: str, source: Source, findings: Findings) -> int:
    """MB: one of the platform's tiers."""
    if memory is None or memory in CPU_BY_MEMORY:
        return DEFAULT_MEMORY if memory is None else memory
    larger = next((tier for tier in CPU_BY_MEMORY if tier > memory), max(CPU_BY_MEMORY))
    tiers = ", ".join(map(str, CPU_BY_MEMORY))
    hint = f"The tiers are {tiers}; the next one is {larger}."
    findings.add(
        "bad-memory", f"{subject}: {memory} MB of memory is not one of the platform's tiers.", hint, source
    )
    return DEFAULT_MEMORY


def checked_scale(given: FunctionDeclaration, subject: str, source: Source, findings: Findings) -> tuple[int, int]:
    """``min_scale`` and ``max_scale``; what is not given makes room for what is."""
    low = DEFAULT_MIN_SCALE if given.min_scale is None else given.min_scale
    high = max(DEFAULT_MAX_SCALE, low) if given.max_scale is None else given.max_scale
    fine = True
    for name, value, least in (("min_scale", low, 0), ("max_scale", high, 1)):
        # An unset max_scale follows min_scale; telling its range as well would say the same thing twice.
        if not least <= value <= SCALE_MAX and not (name == "max_scale" and given.max_scale is None):
            message = f"{subject}: {name} is {value}, and goes from {least} to {SCALE_MAX}."
            findings.add("bad-scale", message, None, source)
            fine = False
    if fine and low > high:
        findings.add("bad-scale", f"{subject}: min_scale {low} is more than max_scale {high}.", None, source)
        fine = False
    return (low, high) if fine else (DEFAULT_MIN_SCALE, DEFAULT_MAX_SCALE)


def checked_timeout(timeout: str | float | None, subject: str, source: Source, findings: Findings) -> int:
    """Nanoseconds."""
    if timeout is None:
        return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS
    seconds = parse_duration(timeout)
    if seconds is None:
        hint = 'Write seconds, or "30s", "5m", "1h".'
        findings.add("bad-timeout", f"{subject}: {timeout!r} is not a length of time.", hint, source)
    elif not TIMEOUT_MIN_SECONDS <= seconds <= TIMEOUT_MAX_SECONDS:
        message = (
            f"{subject}: a timeout goes from {TIMEOUT_MIN_SECONDS} s to {TIMEOUT_MAX_SECONDS} s, "
            f"and this is {seconds:g} s."
        )
        findings.add("bad-timeout", message, None, source)
    else:
        return round(seconds * _NANOSECONDS)
    return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS


def checked_words(
    given: FunctionDeclaration, subject: str, source: Source, findings: Findings
) -> tuple[str, str, str]:
    """``privacy``, ``http_option`` and ``sandbox``."""
    return (
        _word("privacy", given.privacy, tuple(Privacy), subject, source, findings),
        _word("http_option", given.http_option, tuple(HttpOption), subject, source, findings),
        _word("sandbox", given.sandbox, (Sandbox.V2, Sandbox.V1), subject, source, findings),
    )


def _word(
    setting: str, value: str | None, choices: Iterable[str], subject: str, source: Source, findings: Findings
) -> str:
    """The first choice is the default."""
    known = [str(choice) for choice in choices]
    if value is None:
        return known[0]
    if value in known:
        return value
    hint = did_you_mean(value, known) or f"It is {' or '.join(known)}."
    findings.add("bad-choice", f"{subject}: {value!r} is not a value of {setting}.", hint, source)
    return known[0]
