"""Views of crons, triggers and their deliveries, and of the next runs of schedules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.cli.output import json_fields
from fnkit.contract.cron import CronSchedule
from fnkit.contract.resources import ScwNatsConfig, ScwSqsConfig, SqsConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fnkit.cli.schedule_preview import SchedulePreview
    from fnkit.contract.deliveries import DeliveryView, SentMessage, SkippedReplay
    from fnkit.contract.platform import TriggerStatus
    from fnkit.contract.resources import Cron, Trigger
    from fnkit.deploy.status import EventSource

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
    columns = f"{delivery.at[:19]}Z  {delivery.status:<9}  {response:>3}  {attempts:<10}  {duration:>12}"
    return f"{columns}  {delivery.id}{note}".rstrip()


@dataclass(frozen=True, slots=True)
class DeliveriesView:
    """Deliveries of one cron or trigger.

    Args:
        deliveries: The deliveries to show, newest first; after a replay, the new ones.
        total: Number of deliveries in the log that match the selection.
        skipped: Deliveries that could not be replayed.
        is_replay: Whether this is the result of a replay.
        others: Number of deliveries in all, if only failed ones were selected and there are none.
    """

    deliveries: tuple[DeliveryView, ...]
    total: int
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
        """Print a line for each delivery, followed by its error."""
        for one in self.deliveries:
            console.print(format_delivery(one), style=delivery_style(one.status))
            if one.error:
                console.print(f"  {one.error}", style="dim", markup=False)
        for omitted in self.skipped:
            console.print(f"{omitted.id}: not replayed: {omitted.reason}", style="yellow", markup=False)
        if not self.deliveries and not self.skipped:
            console.print(self._nothing())
        elif len(self.deliveries) < self.total and not self.is_replay:
            console.print(f"Showing {len(self.deliveries)} of {self.total}; use --limit for more.", style="dim")

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
        duration = "" if one.duration_ms is None else f" in {one.duration_ms:.1f} ms"
        console.print(f"{one.function} {response}{duration}.", style=delivery_style(one.status))
        if one.error:
            console.print(one.error, markup=False)


@dataclass(frozen=True, slots=True)
class TriggersView:
    """Deployed triggers, each with its newest delivery and the state of its consumer on the local platform.

    Args:
        triggers: The deployed triggers.
        last: The newest delivery by trigger ID, for triggers that have one.
        listening: The consumer states that the local platform reports, by trigger ID; empty for Scaleway.
    """

    triggers: Sequence[EventSource[Trigger]]
    last: Mapping[str, DeliveryView]
    listening: Mapping[str, TriggerStatus]

    def to_json(self) -> dict[str, object]:
        """Return ``triggers[{id, name, function, kind, address, status, error_message, listening, last}]``."""
        return {"triggers": [self._trigger_to_json(one) for one in self.triggers]}

    def render(self, console: Console) -> None:
        """Print a line for each trigger, followed by the state of its consumer and its last delivery."""
        width = max((len(one.qualified_name) for one in self.triggers), default=0)
        for one in self.triggers:
            last, how = self.last.get(one.resource.id), self.listening.get(one.resource.id)
            kind, address = _trigger_kind(one.resource), _trigger_address(one.resource)
            line = f"{one.qualified_name:<{width}}  {kind:<4}  {address}  {one.resource.status}"
            console.print(line, style="red" if one.resource.status == "error" else "", markup=False)
            if one.resource.error_message:
                console.print(f"  {one.resource.error_message}", style="red", markup=False)
            elif how is not None:
                idle = how.state == "idle"
                console.print(
                    f"  {'idle: ' if idle else ''}{how.words}", style="yellow" if idle else "dim", markup=False
                )
            if last is not None:
                console.print(f"  last {format_delivery(last)}", style=delivery_style(last.status))
        if not self.triggers:
            console.print("There are no triggers.")

    def _trigger_to_json(self, one: EventSource[Trigger]) -> dict[str, object]:
        how = self.listening.get(one.resource.id)
        return {
            **json_fields(one.resource, "id", "name"),
            "function": one.function.name,
            "kind": _trigger_kind(one.resource),
            "address": _trigger_address(one.resource),
            **json_fields(one.resource, "status", "error_message"),
            "listening": None if how is None else json_fields(how, "state", "words"),
            "last": msgspec.to_builtins(self.last.get(one.resource.id)),
        }


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
        where = f"NATS subject {one.address}" if one.kind == "nats" else f"SQS queue {one.address}"
        stored = f", stored in stream {one.stream}" if one.stream else ""
        console.print(f"Sent to {where}{stored}.")


def _trigger_kind(trigger: Trigger) -> str:
    return "nats" if trigger.input_type.endswith("nats") else "sqs"


def _trigger_address(trigger: Trigger) -> str:
    for config in (trigger.scw_nats_config, trigger.scw_sqs_config, trigger.sqs_config):
        match config:
            case ScwNatsConfig():
                return config.subject
            case ScwSqsConfig():
                return config.queue
            case SqsConfig():
                return config.queue_url
            case _:
                continue
    return ""


def _format_utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_local(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).astimezone().isoformat()


@dataclass(frozen=True, slots=True)
class CronsView:
    """Deployed crons, each with its next run and its newest delivery.

    Args:
        crons: The deployed crons.
        last: The newest delivery by cron ID, for crons that have one.
        now: Unix seconds on the platform's clock.
    """

    crons: Sequence[EventSource[Cron]]
    last: Mapping[str, DeliveryView]
    now: float

    def to_json(self) -> dict[str, object]:
        """Return ``crons[{id, name, function, schedule, args, status, next, last}]``."""
        return {
            "crons": [
                {
                    **json_fields(one.resource, "id", "name"),
                    "function": one.function.name,
                    **json_fields(one.resource, "schedule", "args", "status"),
                    "next": _next_run(one.resource.schedule, self.now),
                    "last": msgspec.to_builtins(self.last.get(one.resource.id)),
                }
                for one in self.crons
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each cron, followed by its last delivery."""
        width = max((len(one.qualified_name) for one in self.crons), default=0)
        for one in self.crons:
            next_run, last = _next_run(one.resource.schedule, self.now), self.last.get(one.resource.id)
            next_text = "never runs" if next_run is None else f"next {next_run}"
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
                    **json_fields(one, "function", "name", "schedule"),
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


def _next_run(schedule: str, now: float) -> str | None:
    try:
        timestamp = CronSchedule.parse(schedule).next_after(now)
    except ValueError:  # another platform may accept schedules that this grammar rejects
        return None
    return None if timestamp is None else _format_utc(timestamp)
