"""The manifests of an installation: a stream of YAML documents, or one List in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class ManifestsView:
    """What ``kubectl apply`` takes.

    Args:
        documents: The documents, in an order in which they can be applied.
    """

    documents: tuple[dict[str, object], ...]

    def to_json(self) -> dict[str, object]:
        """Return a List, which ``kubectl apply`` takes too."""
        return {"apiVersion": "v1", "kind": "List", "items": list(self.documents)}

    def render(self, console: Console) -> None:
        """Print the documents as YAML."""
        import yaml

        console.print(yaml.safe_dump_all(self.documents, sort_keys=False, explicit_start=True, width=1000), end="")
