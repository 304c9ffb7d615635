"""Directories nested deeper than a path can be long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["nest_directories"]


@contextmanager
def _working_directory(path: Path) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    os.chdir(path)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def nest_directories(path: Path, levels: int, name: str = "d") -> None:
    """Create nested directories with a file in each."""
    path.mkdir()
    with _working_directory(path):
        for _ in range(levels):
            os.mkdir(name)  # noqa: PTH102 - the path is too long
            os.chdir(name)
            Path("file").touch()
