"""Views of crons, triggers and their deliveries, and of the next runs of schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from fnkit.cli.views.deliveries import format_delivery, delivery_style
from fnkit.contract.cron import CronSchedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fnkit.cli.preview import SchedulePreview
    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.resources import Cron
    from fnkit.deploy.sources import EventSource

__all__ = ["CronsView", "SchedulePreviewView"]


def _format_utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_local(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).astimezone().isoformat()


@dataclass(frozen=True, slots=True)
class CronsView:
    """Deployed crons, each with its next run (Unix seconds on the platform's clock) and its newest delivery."""

    crons: tuple[tuple[EventSource[Cron], float | None, DeliveryView | None], ...]

    @classmethod
    def build(cls, crons: Sequence[EventSource[Cron]], last: Mapping[str, DeliveryView], now: float) -> CronsView:
        """Combine crons with their next runs and newest deliveries.

        Args:
            crons: The deployed crons.
            last: The newest delivery by cron ID, for crons that have one.
            now: Unix seconds on the platform's clock.
        """
        return cls(tuple((one, _next_run(one.resource.schedule, now), last.get(one.resource.id)) for one in crons))

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{id, name, function, schedule, args, status, next, last}]``."""
        return {
            "crons": [
                {
                    "id": one.resource.id,
                    "name": one.resource.name,
                    "function": one.function.name,
                    "schedule": one.resource.schedule,
                    "args": one.resource.args,
                    "status": one.resource.status,
                    "next": None if timestamp is None else _format_utc(timestamp),
                    "last": None if last is None else msgspec.to_builtins(last),
                }
                for one, timestamp, last in self.crons
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each cron, followed by its last delivery."""
        width = max((len(one.qualified_name) for one, _, _ in self.crons), default=0)
        for one, timestamp, last in self.crons:
            next_text = "never runs" if timestamp is None else f"next {_format_utc(timestamp)}"
            console.print(f"{one.qualified_name:<{width}}  {one.resource.schedule:<16}  {next_text}", markup=False)
            if last is not None:
                console.print(f"  last {format_delivery(last)}", style=delivery_style(last.status))
        if not self.crons:
            console.print("There are no crons.")


@dataclass(frozen=True, slots=True)
class SchedulePreviewView:
    """The next runs of schedules."""

    previews: tuple[SchedulePreview, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{function, name, schedule, next[{utc, local}]}]``; an expression has no function."""
        return {
            "crons": [
                {
                    "function": one.function,
                    "name": one.name,
                    "schedule": one.schedule,
                    "next": [
                        {"utc": _format_utc(timestamp), "local": _format_local(timestamp)} for timestamp in one.runs
                    ],
                }
                for one in self.previews
            ]
        }

    def render(self, console: Console) -> None:
        """Print each schedule with its next runs, in UTC and in the local time zone."""
        for one in self.previews:
            title = f"{one.function}/{one.name}  " if one.function else ""
            console.print(f"{title}{one.schedule}", style="bold", markup=False)
            for timestamp in one.runs:
                local_time = datetime.fromtimestamp(timestamp, UTC).astimezone()
                console.print(f"  {_format_utc(timestamp)}   {local_time:%a %d %b %H:%M %Z}")
            if not one.runs:
                console.print("  It never runs.", style="yellow")
        if not self.previews:
            console.print("The project has no crons.")


def _next_run(schedule: str, now: float) -> float | None:
    try:
        return CronSchedule.parse(schedule).next_after(now)
    except ValueError:  # another platform may accept schedules that this grammar rejects
        return None
