"""The part of fnkit that every Python archive contains: decorators, types, errors."""

from __future__ import annotations

from pathlib import Path

import fnkit.errors
from fnkit.bundler.contents import Content, read_content

__all__ = ["RUNTIME_MODULES", "runtime_part"]

RUNTIME_MODULES = frozenset({"fnkit", "fnkit.authoring", "fnkit.errors"})
"""Modules of fnkit that a handler may import, besides those under ``fnkit.authoring``."""


def runtime_part() -> dict[str, Content]:
    """Return the content of fnkit's own files by path in the archive, from the running installation."""
    package = Path(fnkit.errors.__file__).parent
    sources = [package / "__init__.py", package / "errors.py", *sorted((package / "authoring").rglob("*.py"))]
    part: dict[str, Content] = {}
    for source in sources:
        name = f"package/fnkit/{source.relative_to(package).as_posix()}"
        content = read_content(source, name)
        part[name] = Content(content.source, content.sha256, content.crc32, content.size, executable=False)
    return part
