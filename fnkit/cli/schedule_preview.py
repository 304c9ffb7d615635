"""Computes the next runs of schedules, from the project or from an expression. Makes no network requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fnkit.cli.options import CommonOptions
from fnkit.contract.cron import CronSchedule, schedule_error
from fnkit.deploy.loading import load_project
from fnkit.errors import UsageError

_EXPRESSION_PREFIXES: Final = ("@", "*")  # a single word that starts so is an attempt at a schedule, not a name


@dataclass(frozen=True, slots=True)
class SchedulePreview:
    """A schedule and the times of its next runs, in Unix seconds.

    ``function`` and ``name`` are empty if the schedule was given as an expression.
    """

    function: str
    name: str
    schedule: str
    runs: tuple[float, ...]


def preview_schedules(common: CommonOptions, name: str, count: int, *, after: float) -> tuple[SchedulePreview, ...]:
    """Return the next runs of an expression or of crons of the project.

    Args:
        common: The common options, which locate the project.
        name: A schedule expression, or the name of a cron or of a function; empty for all crons of the project.
        count: Number of runs for each schedule.
        after: Unix seconds that all runs follow.

    Raises:
        UsageError: The expression is invalid, or no cron matches the name.
        ProjectInvalid: The project has problems.
        ProjectError: The project could not be read.
    """
    if any(character.isspace() for character in name.strip()) or name.startswith(_EXPRESSION_PREFIXES):
        if fault := schedule_error(name):
            raise UsageError(
                f"The schedule is invalid: {fault}",
                code="bad-expression",
                hint="A schedule has five fields in UTC: minute, hour, day of month, month, day of week.",
            )
        return (SchedulePreview("", "", name, _next_runs(name, after, count)),)
    project = load_project(common.directory, stage=common.stage)
    declared = [(function, cron) for function in project.functions for cron in function.crons]
    meant = [
        (function, cron)
        for function, cron in declared
        if name in ("", function.name, cron.name, f"{function.name}/{cron.name}")
    ]
    if name and not meant:
        known = ", ".join(f"{function.name}/{cron.name}" for function, cron in declared) or "none"
        raise UsageError(
            f"The project has no cron {name}.",
            code="no-cron",
            hint=f"Its crons are: {known}. Put quotes around a schedule, so that it is one argument.",
        )
    return tuple(
        SchedulePreview(function.name, cron.name, cron.schedule, _next_runs(cron.schedule, after, count))
        for function, cron in meant
    )


def _next_runs(expression: str, after: float, count: int) -> tuple[float, ...]:
    schedule, ticks = CronSchedule.parse(expression), list[float]()
    while len(ticks) < count and (tick := schedule.next_after(ticks[-1] if ticks else after)) is not None:
        ticks.append(tick)
    return tuple(ticks)
