"""When schedules fire, read from the project or typed by hand; asks no platform."""

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

_NO_NAMES: Final = ("@", "*")  # so begin schedules, though not all of one, and no names


@dataclass(frozen=True, slots=True)
class Preview:
    """A schedule and its next ticks, in Unix seconds; function and name are empty for a typed one."""

    function: str
    name: str
    schedule: str
    ticks: tuple[float, ...]


def preview(common: CommonOptions, name: str, count: int) -> tuple[Preview, ...]:
    """Return the next ``count`` ticks of an expression, of the crons that a name means, or of all.

    Raises:
        UsageError: the expression cannot be read, or no cron is called so.
        ProjectInvalid, ProjectError: the project cannot be read.
    """
    now = time.time()
    if any(character.isspace() for character in name.strip()) or name.startswith(_NO_NAMES):
        if fault := schedule_fault(name):
            raise UsageError(
                f"This is no schedule: {fault}",
                code="bad-expression",
                hint="Five fields in UTC: minute, hour, day of month, month, day of week.",
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
            hint=f"It has: {known}. A schedule is written in one argument, in quotes.",
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
