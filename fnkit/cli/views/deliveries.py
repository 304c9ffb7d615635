"""Views of deliveries, replays, and runs of crons on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.deliveries import DeliveryView, SkippedReplay

__all__ = ["DeliveriesView", "CronRunView", "format_delivery", "delivery_style"]

_STATUS_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "dead": "red bold",
    "pending": "yellow",
    "unknown": "magenta",
}


def delivery_style(status: str) -> str:
    """Return the rich style of a delivery status."""
    return _STATUS_STYLES.get(status, "")


def format_delivery(delivery: DeliveryView) -> str:
    """Return one delivery as one line of text, without its body."""
    response = "-" if delivery.http_status is None else str(delivery.http_status)
    duration = "" if delivery.duration_ms is None else f"{delivery.duration_ms:.1f} ms"
    attempts = f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"
    notes = [delivery.cause] if delivery.cause in ("fire", "replay") else []
    notes += ["replayed since"] if delivery.replayed_by else []
    note = f"   ({', '.join(notes)})" if notes else ""
    return f"{delivery.at[:19]}Z  {delivery.status:<9}  {response:>3}  {attempts:<10}  {duration:>12}  {delivery.id}{note}".rstrip()


@dataclass(frozen=True, slots=True)
class DeliveriesView:
    """Deliveries of one cron or trigger.

    Args:
        deliveries: The deliveries to show, newest first; after a replay, the new ones.
        total: Number of deliveries in the log that match the selection.
        skipped: Deliveries that could not be replayed.
        is_replay: Whether this is the result of a replay.
    """

    deliveries: tuple[DeliveryView, ...]
    total: int
    skipped: tuple[SkippedReplay, ...] = ()
    is_replay: bool = False

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
        """Print a line for each delivery, followed by its error."""
        for one in self.deliveries:
            console.print(format_delivery(one), style=delivery_style(one.status))
            if one.error:
                console.print(f"  {one.error}", style="dim", markup=False)
        for omitted in self.skipped:
            console.print(f"{omitted.id}: not replayed: {omitted.reason}", style="yellow", markup=False)
        if not self.deliveries and not self.skipped:
            console.print("There are no deliveries to replay." if self.is_replay else "There are no deliveries.")
        elif len(self.deliveries) < self.total and not self.is_replay:
            console.print(f"Showing {len(self.deliveries)} of {self.total}; use --limit for more.", style="dim")


@dataclass(frozen=True, slots=True)
class CronRunView:
    """The delivery of one run on demand."""

    delivery: DeliveryView

    def to_json(self) -> dict[str, object]:
        """Return ``delivery{…}``."""
        return {"delivery": msgspec.to_builtins(self.delivery)}

    def render(self, console: Console) -> None:
        """Print the response of the function."""
        one = self.delivery
        response = "did not respond" if one.http_status is None else f"responded with {one.http_status}"
        duration = "" if one.duration_ms is None else f" in {one.duration_ms:.1f} ms"
        console.print(f"{one.function} {response}{duration}.", style=delivery_style(one.status))
        if one.error:
            console.print(one.error, markup=False)
