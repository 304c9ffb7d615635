"""View of ``fnkit init``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.scaffold import InitializedProject


@dataclass(frozen=True, slots=True)
class InitView:
    """A folder that is a project now.

    Args:
        path: The folder.
        done: What was done; ``None`` if the folder was a project before.
        functions: Names of the project's functions.
        problem_count: How many problems the project has.
    """

    path: Path
    done: InitializedProject | None
    functions: tuple[str, ...]
    problem_count: int

    def to_json(self) -> dict[str, object]:
        """Return ``path, files, languages, functions, problem_count``."""
        return {
            "path": str(self.path),
            "files": list(self.done.files) if self.done else [],
            "languages": list(self.done.languages) if self.done else [],
            "functions": list(self.functions),
            "problem_count": self.problem_count,
        }

    def render(self, console: Console) -> None:
        """Print the files, the functions and the next command."""
        if self.done is None:
            console.print(f"{self.path} is a project already. Nothing was written.")
        else:
            found = f" ({', '.join(self.done.languages)})" if self.done.languages else ""
            console.print(f"Made {self.path} a project{found}:")
            for name in self.done.files:
                console.print(f"  {name}")
        if self.functions:
            count = len(self.functions)
            console.print(f"{count} function{'s' if count > 1 else ''}: {', '.join(self.functions)}")
        if self.problem_count:
            console.print(f"{self.problem_count} problem{'s' if self.problem_count > 1 else ''}: see `fnkit scan`.")
        elif not self.functions:
            console.print("No handler was found. Mark one with @function, or declare one with [[function]].")
        else:
            console.print("\nNext:")
            console.print("  fnkit deploy --local", style="bold")
