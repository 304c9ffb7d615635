"""The control plane in a page: what exists, what each thing must show, and which request must be refused.

It knows nothing of time: statuses are those in which things end up. Compared with the real one in
``tests/property/test_control_plane_model.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KINDS", "ControlModel", "Thing"]

KINDS = ("namespaces", "functions", "crons", "domains", "triggers", "tokens")
_UNIQUE = {"namespaces": "name", "functions": "name", "domains": "hostname"}


@dataclass(slots=True)
class Thing:
    """One resource. ``shown`` holds the fields that the API must show, ``parent`` is "" for namespaces."""

    id: str
    kind: str
    region: str
    parent: str
    shown: dict[str, object]
    has_code: bool = False
    ready_at: object = None


@dataclass(slots=True)
class ControlModel:
    """Everything that exists by id, in creation order; and the ids of what is gone."""

    things: dict[str, Thing] = field(default_factory=dict)
    gone: dict[str, Thing] = field(default_factory=dict)

    def of(self, kind: str, **wanted: object) -> list[Thing]:
        """Return what exists of a kind, with these attributes."""
        found = (thing for thing in self.things.values() if thing.kind == kind)
        return [thing for thing in found if all(getattr(thing, name) == wanted[name] for name in wanted)]

    def refusal(self, kind: str, region: str, parent: str, fields: Mapping[str, object]) -> int:
        """Return the status that a creation must be refused with, or 200."""
        if parent and (parent not in self.things or self.things[parent].region != region):
            return 404
        if (unique := _UNIQUE.get(kind)) is None:
            return 200
        rivals = self.of(kind) if kind == "domains" else self.of(kind, region=region, parent=parent)
        return 409 if any(rival.shown[unique] == fields[unique] for rival in rivals) else 200

    def add(self, thing: Thing) -> Thing:
        """Something was created."""
        self.things[thing.id] = thing
        return thing

    def deployed(self, function: Thing) -> None:
        """A function was deployed: with code it is ready in the end, without it is in error."""
        function.shown["status"] = "ready" if function.has_code else "error"
        function.shown["error_message"] = None if function.has_code else "internal error"

    def remove(self, thing: Thing) -> None:
        """Something was deleted, and with it everything in it."""
        self.gone[thing.id] = self.things.pop(thing.id)
        for child in [one for one in self.things.values() if one.parent == thing.id]:
            self.remove(child)
