"""View of ``fnkit init``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import NAME_STYLE, counted, joined, print_commands, print_wrapped, safe_text

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
        path = safe_text(str(self.path), NAME_STYLE)
        if self.done is None:
            print_wrapped(console, joined(path, " is a project already. Nothing was written."))
        else:
            found = f" ({', '.join(self.done.languages)})" if self.done.languages else ""
            sentence = joined("Made ", path, f" a project{found}:")
            print_wrapped(console, sentence, label=safe_text("✓", "green"), hanging=2)
            for name in self.done.files:
                print_wrapped(console, name, indent=2)
        if self.functions:
            count = counted(len(self.functions), "function")
            names = safe_text(", ").join(safe_text(name, NAME_STYLE) for name in self.functions)
            print_wrapped(console, joined(f"{count}: ", names), hanging=2)
        if self.problem_count:
            problems = safe_text(counted(self.problem_count, "problem"), "red")
            print_wrapped(console, joined(problems, ": see `fnkit scan`."))
        elif not self.functions:
            print_wrapped(
                console, "No handler was found. Mark one with @function, or declare one with [[function]]."
            )
        else:
            console.print()
            print_commands(console, "Next:", (("fnkit deploy --local", ""),))
