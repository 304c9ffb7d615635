"""View of deployed triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fnkit.cli.views.deliveries import format_delivery, delivery_style
from fnkit.contract.resources import ScwNatsConfig, ScwSqsConfig, SqsConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.platform import TriggerStatus
    from fnkit.contract.resources import Trigger
    from fnkit.deploy.sources import EventSource

__all__ = ["TriggersView"]


@dataclass(frozen=True, slots=True)
class TriggersView:
    """Deployed triggers, each with its newest delivery and the state of its consumer on the local platform."""

    triggers: tuple[tuple[EventSource[Trigger], DeliveryView | None, TriggerStatus | None], ...]

    @classmethod
    def build(
        cls,
        triggers: Sequence[EventSource[Trigger]],
        last: Mapping[str, DeliveryView],
        listening: Sequence[TriggerStatus],
    ) -> TriggersView:
        """Combine triggers with their deliveries and consumers.

        Args:
            triggers: The deployed triggers.
            last: The newest delivery by trigger ID, for triggers that have one.
            listening: The consumer states that the local platform reports; empty for Scaleway.
        """
        how = {one.id: one for one in listening}
        return cls(tuple((one, last.get(one.resource.id), how.get(one.resource.id)) for one in triggers))

    def to_json(self) -> dict[str, object]:
        """Return ``triggers[{id, name, function, kind, address, status, error_message, listening, last}]``."""
        return {
            "triggers": [
                {
                    "id": one.resource.id,
                    "name": one.resource.name,
                    "function": one.function.name,
                    "kind": _trigger_kind(one.resource),
                    "address": _trigger_address(one.resource),
                    "status": one.resource.status,
                    "error_message": one.resource.error_message,
                    "listening": None if how is None else {"state": how.state, "words": how.words},
                    "last": None if last is None else msgspec.to_builtins(last),
                }
                for one, last, how in self.triggers
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each trigger, followed by the state of its consumer and its last delivery."""
        width = max((len(one.qualified_name) for one, _, _ in self.triggers), default=0)
        for one, last, how in self.triggers:
            line = f"{one.qualified_name:<{width}}  {_trigger_kind(one.resource):<4}  {_trigger_address(one.resource)}  {one.resource.status}"
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
