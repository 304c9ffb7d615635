"""View of ``fnkit completion``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class CompletionView:
    """The script that completes commands in a shell."""

    shell: str
    script: str

    def to_json(self) -> dict[str, object]:
        """Return ``shell, script``."""
        return {"shell": self.shell, "script": self.script}

    def render(self, console: Console) -> None:
        """Print the script as it is."""
        console.print(self.script.strip("\n"), soft_wrap=True)
