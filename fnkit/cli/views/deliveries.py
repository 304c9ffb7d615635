"""Views of deliveries: a list of them, a run of a cron, and a message that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_table, print_wrapped, safe_text, state_cell
from fnkit.cli.output import json_fields
from fnkit.cli.times import format_duration, format_time, parse_time, short_id

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fnkit.contract.deliveries import DeliveryView, SentMessage, SkippedReplay

_COLUMNS: Final = (
    Column("TIME"),
    Column("STATUS"),
    Column("HTTP", right=True),
    Column("ATTEMPTS", right=True),
    Column("DURATION", "dim", right=True),
    Column("ID", "dim"),
    Column("NOTE"),
)
_CAUSES: Final = {"fire": "manual run", "replay": "replay"}


def last_delivery(console: Console, delivery: DeliveryView | None, now: datetime) -> Text:
    """Return how the newest delivery of a cron or trigger ended and when; nothing if there is none."""
    if delivery is None:
        return safe_text("")
    return joined(state_cell(delivery.status), f" {format_time(console, parse_time(delivery.at), now)}")


@dataclass(frozen=True, slots=True)
class DeliveriesView:
    """Deliveries of one cron or trigger.

    Args:
        deliveries: The deliveries to show, newest first; after a replay, the new ones.
        total: Number of deliveries in the log that match the selection.
        now: The time on the platform's clock.
        skipped: Deliveries that could not be replayed.
        is_replay: Whether this is the result of a replay.
        others: Number of deliveries in all, if only failed ones were selected and there are none.
    """

    deliveries: tuple[DeliveryView, ...]
    total: int
    now: datetime
    skipped: tuple[SkippedReplay, ...] = ()
    is_replay: bool = False
    others: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return ``deliveries[…], total``, and after a replay also ``skipped[{id, reason}]``."""
        document: dict[str, object] = {
            "deliveries": [msgspec.to_builtins(one) for one in self.deliveries],
            "total": self.total,
        }
        if self.is_replay:
            document["skipped"] = [msgspec.to_builtins(one) for one in self.skipped]
        return document

    def render(self, console: Console) -> None:
        """Print a table of the deliveries, each with its error below it."""
        print_table(console, _COLUMNS, [self._row(console, one) for one in self.deliveries])
        for omitted in self.skipped:
            label = safe_text("not replayed:", "yellow")
            print_wrapped(console, f"{short_id(console, omitted.id)}: {omitted.reason}", label=label)
        if not self.deliveries and not self.skipped:
            print_wrapped(console, self._nothing())
        elif len(self.deliveries) < self.total and not self.is_replay:
            shown = f"Showing {len(self.deliveries)} of {self.total}; use --limit for more."
            print_wrapped(console, safe_text(shown, "dim"))

    def _row(self, console: Console, one: DeliveryView) -> Row:
        notes = [_CAUSES[one.cause]] if one.cause in _CAUSES else []
        notes += ["replayed since"] if one.replayed_by else []
        cells = (
            format_time(console, parse_time(one.at), self.now),
            state_cell(one.status),
            "-" if one.http_status is None else str(one.http_status),
            str(one.attempts),
            "" if one.duration_ms is None else format_duration(one.duration_ms),
            short_id(console, one.id),
            ", ".join(notes),
        )
        return Row(cells, (safe_text(one.error, "dim"),) if one.error else ())

    def _nothing(self) -> str:
        if self.is_replay:
            return "There are no deliveries to replay."
        if not self.others:
            return "There are no deliveries."
        return f"No delivery failed; there {'is' if self.others == 1 else 'are'} {self.others} in all."


@dataclass(frozen=True, slots=True)
class CronRunView:
    """The delivery of one run on demand, and the lines that the function printed."""

    delivery: DeliveryView
    logs: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``delivery{…}, logs``."""
        return {"delivery": msgspec.to_builtins(self.delivery), "logs": list(self.logs)}

    def render(self, console: Console) -> None:
        """Print the response of the function."""
        one = self.delivery
        response = "did not respond" if one.http_status is None else f"responded with {one.http_status}"
        duration = "" if one.duration_ms is None else f" in {format_duration(one.duration_ms)}"
        sentence = joined(safe_text(one.function, NAME_STYLE), f" {response}{duration}.")
        print_wrapped(console, sentence, label=self._mark())
        if one.error:
            print_wrapped(console, one.error, indent=2)

    def _mark(self) -> Text:
        return safe_text("✓", "green") if self.delivery.status == "succeeded" else safe_text("✗", "red")


@dataclass(frozen=True, slots=True)
class SentMessageView:
    """A test message that a broker took.

    Args:
        trigger: ``function/name`` of the trigger.
        message: Where it went.
    """

    trigger: str
    message: SentMessage

    def to_json(self) -> dict[str, object]:
        """Return ``trigger, kind, address, stream, message_id``."""
        return {"trigger": self.trigger, **json_fields(self.message, "kind", "address", "stream", "message_id")}

    def render(self, console: Console) -> None:
        """Print where the message went."""
        one = self.message
        where = "NATS subject" if one.kind == "nats" else "SQS queue"
        stored = (", stored in stream ", safe_text(one.stream, NAME_STYLE)) if one.stream else ()
        print_wrapped(console, joined(f"Sent to {where} ", safe_text(one.address, NAME_STYLE), *stored, "."))
