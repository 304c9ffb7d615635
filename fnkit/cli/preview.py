"""Computes the next runs of schedules, from the project or from an expression. Makes no network requests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from fnkit.cli.options import CommonOptions
from fnkit.contract.cron import Schedule, schedule_fault
from fnkit.deploy.loading import load_project
from fnkit.errors import UsageError
from fnkit.project import CronSpec, FunctionSpec

__all__ = ["Preview", "preview"]

_NO_NAMES: Final = ("@", "*")  # a single word that starts so is an attempt at a schedule, not a name


@dataclass(frozen=True, slots=True)
class Preview:
    """A schedule and the times of its next runs, in Unix seconds.

    ``function`` and ``name`` are empty if the schedule was given as an expression.
    """

    function: str
    name: str
    schedule: str
    ticks: tuple[float, ...]


def preview(common: CommonOptions, name: str, count: int) -> tuple[Preview, ...]:
    """Return the next runs of an expression or of crons of the project.

    Args:
        common: The common options, which locate the project.
        name: A schedule expression, or the name of a cron or of a function; empty for all crons of the project.
        count: Number of runs for each schedule.

    Raises:
        UsageError: The expression is invalid, or no cron matches the name.
        ProjectInvalid: The project has problems.
        ProjectError: The project could not be read.
    """
    now = time.time()
    if any(character.isspace() for character in name.strip()) or name.startswith(_NO_NAMES):
        if fault := schedule_fault(name):
            raise UsageError(
                f"The schedule is invalid: {fault}",
                code="bad-expression",
                hint="A schedule has five fields in UTC: minute, hour, day of month, month, day of week.",
            )
        return (Preview("", "", name, _ticks(name, now, count)),)
    project = load_project(common.directory, stage=common.stage)
    declared = [(function, cron) for function in project.functions for cron in function.crons]
    meant = [pair for pair in declared if not name or name in _names(*pair)]
    if name and not meant:
        known = ", ".join(f"{function.name}/{cron.name}" for function, cron in declared) or "none"
        raise UsageError(
            f"The project has no cron {name}.",
            code="no-cron",
            hint=f"Its crons are: {known}. Put quotes around a schedule, so that it is one argument.",
        )
    return tuple(
        Preview(function.name, cron.name, cron.schedule, _ticks(cron.schedule, now, count))
        for function, cron in meant
    )


def _names(function: FunctionSpec, cron: CronSpec) -> tuple[str, str, str]:
    return function.name, cron.name, f"{function.name}/{cron.name}"


def _ticks(text: str, after: float, count: int) -> tuple[float, ...]:
    schedule, ticks = Schedule.parse(text), list[float]()
    while len(ticks) < count and (tick := schedule.next_after(ticks[-1] if ticks else after)) is not None:
        ticks.append(tick)
    return tuple(ticks)
