"""View of deployed triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fnkit.cli.views.deliveries import delivery_line, delivery_style
from fnkit.contract.resources import NatsConfig, QueueConfig, SqsConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from fnkit.contract.deliveries import DeliveryView
    from fnkit.contract.platform import TriggerListening
    from fnkit.contract.resources import Trigger
    from fnkit.deploy.sources import Firer

__all__ = ["TriggersView"]


@dataclass(frozen=True, slots=True)
class TriggersView:
    """Deployed triggers, each with its newest delivery and the state of its consumer on the local platform."""

    triggers: tuple[tuple[Firer[Trigger], DeliveryView | None, TriggerListening | None], ...]

    @classmethod
    def of(
        cls,
        triggers: Sequence[Firer[Trigger]],
        last: Mapping[str, DeliveryView],
        listening: Sequence[TriggerListening],
    ) -> TriggersView:
        """Combine triggers with their deliveries and consumers.

        Args:
            triggers: The deployed triggers.
            last: The newest delivery by trigger ID, for triggers that have one.
            listening: The consumer states that the local platform reports; empty for Scaleway.
        """
        how = {one.id: one for one in listening}
        return cls(tuple((one, last.get(one.source.id), how.get(one.source.id)) for one in triggers))

    def to_json(self) -> dict[str, object]:
        """Return ``triggers[{id, name, function, kind, address, status, error_message, listening, last}]``."""
        return {
            "triggers": [
                {
                    "id": one.source.id,
                    "name": one.source.name,
                    "function": one.function.name,
                    "kind": _kind(one.source),
                    "address": _address(one.source),
                    "status": one.source.status,
                    "error_message": one.source.error_message,
                    "listening": None if how is None else {"state": how.state, "words": how.words},
                    "last": None if last is None else msgspec.to_builtins(last),
                }
                for one, last, how in self.triggers
            ]
        }

    def render(self, console: Console) -> None:
        """Print a line for each trigger, followed by the state of its consumer and its last delivery."""
        width = max((len(one.path) for one, _, _ in self.triggers), default=0)
        for one, last, how in self.triggers:
            line = f"{one.path:<{width}}  {_kind(one.source):<4}  {_address(one.source)}  {one.source.status}"
            console.print(line, style="red" if one.source.status == "error" else "", markup=False)
            if one.source.error_message:
                console.print(f"  {one.source.error_message}", style="red", markup=False)
            elif how is not None:
                idle = how.state == "idle"
                console.print(
                    f"  {'idle: ' if idle else ''}{how.words}", style="yellow" if idle else "dim", markup=False
                )
            if last is not None:
                console.print(f"  last {delivery_line(last)}", style=delivery_style(last.status))
        if not self.triggers:
            console.print("There are no triggers.")


def _kind(trigger: Trigger) -> str:
    return "nats" if trigger.input_type.endswith("nats") else "sqs"


def _address(trigger: Trigger) -> str:
    for config in (trigger.scw_nats_config, trigger.scw_sqs_config, trigger.sqs_config):
        match config:
            case NatsConfig():
                return config.subject
            case QueueConfig():
                return config.queue
            case SqsConfig():
                return config.queue_url
            case _:
                continue
    return ""
