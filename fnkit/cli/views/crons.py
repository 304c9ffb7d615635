"""Views of crons: the deployed ones, and the next runs of schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_table, print_wrapped, safe_text, state_cell
from fnkit.cli.output import json_fields
from fnkit.cli.times import exact_time, format_time, relative_time
from fnkit.cli.views.deliveries import last_delivery
from fnkit.contract.cron import CronSchedule

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.cli.schedule_preview import SchedulePreview
    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.resources import Cron
    from fnkit.deploy.status import EventSource

_COLUMNS: Final = (
    Column("CRON", NAME_STYLE),
    Column("SCHEDULE"),
    Column("STATUS"),
    Column("NEXT RUN"),
    Column("LAST RUN"),
)


@dataclass(frozen=True, slots=True)
class CronsView:
    """Deployed crons, each with its next run and its newest delivery.

    Args:
        crons: The deployed crons.
        last: The newest delivery by cron ID, for crons that have one.
        now: The time on the platform's clock.
    """

    crons: Sequence[EventSource[Cron]]
    last: Mapping[str, DeliveryView]
    now: datetime

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{id, name, function, schedule, args, status, next, last}]``."""
        return {"crons": [self._cron_to_json(one) for one in self.crons]}

    def render(self, console: Console) -> None:
        """Print a table of the crons, each with the error of its last run below it."""
        if not self.crons:
            print_wrapped(console, "There are no crons.")
        print_table(console, _COLUMNS, [self._row(console, one) for one in self.crons])

    def _row(self, console: Console, one: EventSource[Cron]) -> Row:
        next_run, last = _next_run(one.resource.schedule, self.now), self.last.get(one.resource.id)
        cells = (
            one.qualified_name,
            one.resource.schedule,
            state_cell(one.resource.status),
            safe_text("never", "yellow") if next_run is None else format_time(console, next_run, self.now),
            last_delivery(console, last, self.now),
        )
        return Row(cells, (safe_text(last.error, "dim"),) if last is not None and last.error else ())

    def _cron_to_json(self, one: EventSource[Cron]) -> dict[str, object]:
        next_run = _next_run(one.resource.schedule, self.now)
        return {
            **json_fields(one.resource, "id", "name"),
            "function": one.function.name,
            **json_fields(one.resource, "schedule", "args", "status"),
            "next": None if next_run is None else exact_time(next_run),
            "last": msgspec.to_builtins(self.last.get(one.resource.id)),
        }


@dataclass(frozen=True, slots=True)
class SchedulePreviewView:
    """The next runs of schedules.

    Args:
        previews: The schedules with their runs.
        now: The time from which on they were computed.
    """

    previews: tuple[SchedulePreview, ...]
    now: datetime

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{function, name, schedule, next[{utc, local}]}]``; an expression has no function."""
        return {
            "crons": [
                {
                    **json_fields(one, "function", "name", "schedule"),
                    "next": [{"utc": exact_time(run), "local": run.astimezone().isoformat()} for run in _runs(one)],
                }
                for one in self.previews
            ]
        }

    def render(self, console: Console) -> None:
        """Print each schedule with its next runs in UTC, and in the local time zone if that is another one."""
        if not self.previews:
            print_wrapped(console, "The project has no crons.")
        for number, one in enumerate(self.previews):
            if number:
                console.print()
            name = safe_text(f"{one.function}/{one.name}" if one.function else one.schedule, NAME_STYLE)
            print_wrapped(console, joined(name, f"  {one.schedule}" if one.function else ""))
            if not one.runs:
                print_wrapped(console, safe_text("It never runs.", "yellow"), indent=2)
            print_table(
                console,
                (Column("UTC"), Column("LOCAL TIME"), Column("", "dim")),
                [Row(self._cells(console, run)) for run in _runs(one)],
                indent=2,
            )

    def _cells(self, console: Console, run: datetime) -> tuple[str, str, str]:
        """Return the time in UTC and in the local time zone, and for a terminal how far away it is."""
        local = run.astimezone()
        shown = f"{run:%a %Y-%m-%d %H:%M}" if console.is_terminal else exact_time(run)
        away = relative_time(run, self.now) if console.is_terminal else ""
        local_text = f"{local:%a %Y-%m-%d %H:%M %Z}" if local.utcoffset() else ""
        return shown, local_text, away if away.startswith("in ") else ""


def _runs(preview: SchedulePreview) -> list[datetime]:
    return [datetime.fromtimestamp(timestamp, UTC) for timestamp in preview.runs]


def _next_run(schedule: str, now: datetime) -> datetime | None:
    try:
        timestamp = CronSchedule.parse(schedule).next_after(now.timestamp())
    except ValueError:  # another platform may accept schedules that this grammar rejects
        return None
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
