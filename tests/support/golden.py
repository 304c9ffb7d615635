"""Expected output kept in files: read by people in reviews, written only by ``--update-golden``."""

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
        """Fail unless ``text`` is what the file says."""
        file = self.folder / name
        if self.update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        assert file.exists(), f"there is no {file}; write it with --update-golden, and read it"
        assert text == file.read_text(encoding="utf-8")
