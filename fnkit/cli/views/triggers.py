"""View of deployed triggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_table, print_wrapped, safe_text, state_cell
from fnkit.cli.output import json_fields
from fnkit.cli.views.deliveries import last_delivery
from fnkit.contract.resources import ScwNatsConfig, ScwSqsConfig, SqsConfig

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.platform import TriggerStatus
    from fnkit.contract.resources import Trigger
    from fnkit.deploy.status import EventSource

_COLUMNS: Final = (
    Column("TRIGGER", NAME_STYLE),
    Column("KIND"),
    Column("SOURCE"),
    Column("STATUS"),
    Column("LAST DELIVERY"),
)


@dataclass(frozen=True, slots=True)
class TriggersView:
    """Deployed triggers, each with its newest delivery and the state of its consumer on the local platform.

    Args:
        triggers: The deployed triggers.
        last: The newest delivery by trigger ID, for triggers that have one.
        listening: The consumer states that the local platform reports, by trigger ID; empty for Scaleway.
        now: The time on the platform's clock.
    """

    triggers: Sequence[EventSource[Trigger]]
    last: Mapping[str, DeliveryView]
    listening: Mapping[str, TriggerStatus]
    now: datetime

    def to_json(self) -> dict[str, object]:
        """Return ``triggers[{id, name, function, kind, address, status, error_message, listening, last}]``."""
        return {"triggers": [self._trigger_to_json(one) for one in self.triggers]}

    def render(self, console: Console) -> None:
        """Print a table of the triggers, each with the state of its consumer and the error of its last delivery."""
        if not self.triggers:
            print_wrapped(console, "There are no triggers.")
        print_table(console, _COLUMNS, [self._row(console, one) for one in self.triggers])

    def _row(self, console: Console, one: EventSource[Trigger]) -> Row:
        last = self.last.get(one.resource.id)
        cells = (
            one.qualified_name,
            _trigger_kind(one.resource),
            _trigger_address(one.resource),
            state_cell(one.resource.status),
            last_delivery(console, last, self.now),
        )
        return Row(cells, tuple(self._details(one, last)))

    def _details(self, one: EventSource[Trigger], last: DeliveryView | None) -> list[Text]:
        how = self.listening.get(one.resource.id)
        details = []
        if one.resource.error_message:
            details.append(safe_text(one.resource.error_message, "red"))
        elif how is not None and how.state == "idle":
            details.append(joined(safe_text("idle: ", "yellow"), how.words))
        elif how is not None:
            details.append(safe_text(how.words, "dim"))
        if last is not None and last.error:
            details.append(joined(safe_text("last error: ", "dim"), last.error))
        return details

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
