"""A model of the control plane: which resources exist, their fields, and which creations must fail.

It has no notion of time: statuses are final ones. ``tests/property/test_control_plane_model.py`` compares it with
the real control plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KINDS", "ControlModel", "Resource"]

KINDS = ("namespaces", "functions", "crons", "domains", "triggers", "tokens")
_UNIQUE = {"namespaces": "name", "functions": "name", "domains": "hostname"}


@dataclass(slots=True)
class Resource:
    """One resource. ``fields`` are those that the API must return; ``parent`` is "" for namespaces."""

    id: str
    kind: str
    region: str
    parent: str
    fields: dict[str, object]
    has_code: bool = False
    ready_at: object = None


@dataclass(slots=True)
class ControlModel:
    """Existing and deleted resources by id, in creation order."""

    resources: dict[str, Resource] = field(default_factory=dict)
    deleted: dict[str, Resource] = field(default_factory=dict)

    def find(self, kind: str, **attributes: object) -> list[Resource]:
        """Return the existing resources of a kind with these attributes."""
        found = (thing for thing in self.resources.values() if thing.kind == kind)
        return [thing for thing in found if all(getattr(thing, name) == attributes[name] for name in attributes)]

    def expected_status(self, kind: str, region: str, parent: str, fields: Mapping[str, object]) -> int:
        """Return the HTTP status that a creation must get."""
        if parent and (parent not in self.resources or self.resources[parent].region != region):
            return 404
        if (unique := _UNIQUE.get(kind)) is None:
            return 200
        rivals = self.find(kind) if kind == "domains" else self.find(kind, region=region, parent=parent)
        return 409 if any(rival.fields[unique] == fields[unique] for rival in rivals) else 200

    def add(self, resource: Resource) -> Resource:
        """Record a creation."""
        self.resources[resource.id] = resource
        return resource

    def mark_deployed(self, function: Resource) -> None:
        """Record a deployment: a function with code becomes ready, one without fails."""
        function.fields["status"] = "ready" if function.has_code else "error"
        function.fields["error_message"] = None if function.has_code else "internal error"

    def remove(self, resource: Resource) -> None:
        """Record a deletion, which includes the resources inside."""
        self.deleted[resource.id] = self.resources.pop(resource.id)
        for child in [one for one in self.resources.values() if one.parent == resource.id]:
            self.remove(child)
