"""What fired, newest first; what was fired again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.deliveries import DeliveryView, Unreplayed

__all__ = ["DeliveriesView", "FiredView", "delivery_line", "delivery_style"]

_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "dead": "red bold",
    "pending": "yellow",
    "unknown": "magenta",
}


def delivery_style(status: str) -> str:
    """Return the colour of a status."""
    return _STYLES.get(status, "")


def delivery_line(one: DeliveryView) -> str:
    """Return one delivery in one line, without its body."""
    answer = "-" if one.http_status is None else str(one.http_status)
    taken = "" if one.duration_ms is None else f"{one.duration_ms:.1f} ms"
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    notes = [one.cause] if one.cause in ("fire", "replay") else []
    notes += ["repeated since"] if one.replayed_by else []
    note = f"   ({', '.join(notes)})" if notes else ""
    return f"{one.at[:19]}Z  {one.status:<9}  {answer:>3}  {tries:<10}  {taken:>12}  {one.id}{note}".rstrip()


@dataclass(frozen=True, slots=True)
class DeliveriesView:
    """Deliveries of one cron or trigger. ``total`` counts all that match and are kept."""

    deliveries: tuple[DeliveryView, ...]
    total: int
    skipped: tuple[Unreplayed, ...] = ()
    is_replay: bool = False

    def to_json(self) -> dict[str, object]:
        """``deliveries[…], total``; after a replay ``skipped[{id, reason}]`` too."""
        document: dict[str, object] = {
            "deliveries": [msgspec.to_builtins(one) for one in self.deliveries],
            "total": self.total,
        }
        if self.is_replay:
            document["skipped"] = [msgspec.to_builtins(one) for one in self.skipped]
        return document

    def render(self, console: Console) -> None:
        """A line each, with why it failed beneath."""
        for one in self.deliveries:
            console.print(delivery_line(one), style=delivery_style(one.status))
            if one.error:
                console.print(f"  {one.error}", style="dim", markup=False)
        for left in self.skipped:
            console.print(f"{left.id}: not repeated: {left.reason}", style="yellow", markup=False)
        if not self.deliveries and not self.skipped:
            console.print("There is nothing to repeat." if self.is_replay else "Nothing was delivered.")
        elif len(self.deliveries) < self.total and not self.is_replay:
            console.print(f"{len(self.deliveries)} of {self.total}; --limit shows more.", style="dim")


@dataclass(frozen=True, slots=True)
class FiredView:
    """One firing by hand."""

    delivery: DeliveryView

    def to_json(self) -> dict[str, object]:
        """The delivery."""
        return {"delivery": msgspec.to_builtins(self.delivery)}

    def render(self, console: Console) -> None:
        """What became of it."""
        one = self.delivery
        answer = "gave no answer" if one.http_status is None else f"answered {one.http_status}"
        taken = "" if one.duration_ms is None else f" in {one.duration_ms:.1f} ms"
        console.print(f"{one.function} {answer}{taken}.", style=delivery_style(one.status))
        if one.error:
            console.print(one.error, markup=False)
