"""Views of ``fnkit platform backup`` and ``restore``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import NAME_STYLE, counted, joined, print_commands, print_wrapped, safe_text
from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.supervisor.launcher import BackupManifest


def _backup_to_json(manifest: BackupManifest) -> dict[str, object]:
    return json_fields(manifest, "created_at", "functions", "archives", "missing")


@dataclass(frozen=True, slots=True)
class BackupView:
    """The result of ``backup``."""

    file: Path
    manifest: BackupManifest

    def to_json(self) -> dict[str, object]:
        """Return ``file, size, created_at, functions, archives, missing``."""
        return {"file": str(self.file), "size": self.file.stat().st_size, **_backup_to_json(self.manifest)}

    def render(self, console: Console) -> None:
        """Print one sentence, and a warning for each archive that was lost before."""
        what = f"Wrote {counted(self.manifest.functions, 'function')} and the platform's keys to "
        file = safe_text(str(self.file), NAME_STYLE)
        print_wrapped(console, joined(what, file, "."), label=safe_text("✓", "green"))
        for sha256 in self.manifest.missing:
            sentence = f"The archive {sha256} is lost or damaged. Deploy its function again."
            print_wrapped(console, sentence, label=safe_text("warning:", "bold yellow"))


@dataclass(frozen=True, slots=True)
class RestoredView:
    """The result of ``restore``."""

    data_dir: Path
    manifest: BackupManifest

    def to_json(self) -> dict[str, object]:
        """Return ``data_dir, created_at, functions, archives, missing``."""
        return {"data_dir": str(self.data_dir), **_backup_to_json(self.manifest)}

    def render(self, console: Console) -> None:
        """Print what was restored, and what to do next."""
        sentence = f"Restored {counted(self.manifest.functions, 'function')} of {self.manifest.created_at}."
        print_wrapped(console, sentence, label=safe_text("✓", "green"))
        print_commands(console, "To deploy them:", (("fnkit platform start", ""),))
