"""View of ``fnkit event``: the event as JSON, which is also the text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class EventView:
    """An event."""

    event: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """Return the event."""
        return dict(self.event)

    def render(self, console: Console) -> None:
        """Print the event as JSON; never wrapped, so that it can be copied into a file."""
        console.print(json.dumps(self.event, indent=2, ensure_ascii=False), soft_wrap=True)
