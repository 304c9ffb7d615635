"""Compares output with golden files, which only ``--update-golden`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Golden"]


@dataclass(frozen=True, slots=True)
class Golden:
    """The folder of golden files."""

    folder: Path
    update: bool

    def check(self, name: str, text: str) -> None:
        """Fail unless ``text`` equals the file's content."""
        file = self.folder / name
        if self.update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        assert file.exists(), f"{file} does not exist; write it with --update-golden and review it"
        assert text == file.read_text(encoding="utf-8")
