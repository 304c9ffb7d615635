"""The result of ``fnkit openapi``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class OpenapiView:
    """The document, as JSON or as YAML."""

    document: dict[str, Any]
    as_yaml: bool

    def to_json(self) -> dict[str, object]:
        """Return the document itself."""
        return self.document

    def render(self, console: Console) -> None:
        """Print the document, without colour and wrapping: it is for other programs."""
        import json

        text = json.dumps(self.document, indent=2, ensure_ascii=False)
        if self.as_yaml:
            import yaml

            text = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=100).rstrip()
        console.out(text, highlight=False)
