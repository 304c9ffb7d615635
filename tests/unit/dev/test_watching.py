"""Directories that disappear while a watch of the project's files is set up."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fnkit.dev.watching import watch_files


class VanishingDirectory(type(Path())):  # type: ignore[misc]  # its class depends on the operating system
    """A directory that is there when it is looked for, and gone a moment later."""

    def is_dir(self) -> bool:
        return True


def test_watch_ends_if_an_included_directory_disappears_meanwhile(tmp_path: Path) -> None:
    assert list(watch_files(tmp_path, (VanishingDirectory(tmp_path / "shared"),), threading.Event())) == []


def test_project_that_does_not_exist_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(watch_files(tmp_path / "missing", (), threading.Event()))
