"""Views of crons, triggers and their deliveries, and of the next runs of schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from fnkit.cli.views.deliveries import delivery_line, delivery_style
from fnkit.contract.cron import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fnkit.cli.preview import Preview
    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.resources import Cron
    from fnkit.deploy.sources import Firer

__all__ = ["CronsView", "UpcomingView"]


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().isoformat()


@dataclass(frozen=True, slots=True)
class CronsView:
    """Deployed crons, each with its next run (Unix seconds on the platform's clock) and its newest delivery."""

    crons: tuple[tuple[Firer[Cron], float | None, DeliveryView | None], ...]

    @classmethod
    def of(cls, crons: Sequence[Firer[Cron]], last: Mapping[str, DeliveryView], now: float) -> CronsView:
        """Combine crons with their next runs and newest deliveries.

        Args:
            crons: The deployed crons.
            last: The newest delivery by cron ID, for crons that have one.
            now: Unix seconds on the platform's clock.
        """
        return cls(tuple((one, _next(one.source.schedule, now), last.get(one.source.id)) for one in crons))

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{id, name, function, schedule, args, status, next, last}]``."""
        return {
            "crons": [
                {
                    "id": one.source.id,
                    "name": one.source.name,
                    "function": one.function.name,
                    "schedule": one.source.schedule,
                    "args": one.source.args,
                    "status": one.source.status,
                    "next": None if timestamp is None else _utc(timestamp),
                    "last": None if last is None else msgspec.to_builtins(last),
                }
                for one, timestamp, last in self.crons
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each cron, followed by its last delivery."""
        width = max((len(one.path) for one, _, _ in self.crons), default=0)
        for one, timestamp, last in self.crons:
            next_text = "never runs" if timestamp is None else f"next {_utc(timestamp)}"
            console.print(f"{one.path:<{width}}  {one.source.schedule:<16}  {next_text}", markup=False)
            if last is not None:
                console.print(f"  last {delivery_line(last)}", style=delivery_style(last.status))
        if not self.crons:
            console.print("There are no crons.")


@dataclass(frozen=True, slots=True)
class UpcomingView:
    """The next runs of schedules."""

    previews: tuple[Preview, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{function, name, schedule, next[{utc, local}]}]``; an expression has no function."""
        return {
            "crons": [
                {
                    "function": one.function,
                    "name": one.name,
                    "schedule": one.schedule,
                    "next": [{"utc": _utc(timestamp), "local": _local(timestamp)} for timestamp in one.ticks],
                }
                for one in self.previews
            ]
        }

    def render(self, console: Console) -> None:
        """Print each schedule with its next runs, in UTC and in the local time zone."""
        for one in self.previews:
            title = f"{one.function}/{one.name}  " if one.function else ""
            console.print(f"{title}{one.schedule}", style="bold", markup=False)
            for timestamp in one.ticks:
                local_time = datetime.fromtimestamp(timestamp, UTC).astimezone()
                console.print(f"  {_utc(timestamp)}   {local_time:%a %d %b %H:%M %Z}")
            if not one.ticks:
                console.print("  It never runs.", style="yellow")
        if not self.previews:
            console.print("The project has no crons.")


def _next(schedule: str, now: float) -> float | None:
    try:
        return Schedule.parse(schedule).next_after(now)
    except ValueError:  # another platform may accept schedules that this grammar rejects
        return None
