"""The part of fnkit that ships in Python bundles: decorators, types and errors, without the tool."""

from __future__ import annotations

from pathlib import Path

import fnkit.errors
from fnkit.bundler.files.content import FileContent, hash_file


def authoring_runtime() -> dict[str, FileContent]:
    """Return the content of fnkit's own files by path in the archive, from the running installation."""
    package = Path(fnkit.errors.__file__).parent
    sources = [package / "__init__.py", package / "errors.py", *sorted((package / "authoring").rglob("*.py"))]
    part: dict[str, FileContent] = {}
    for source in sources:
        name = f"package/fnkit/{source.relative_to(package).as_posix()}"
        content = hash_file(source, name)
        part[name] = FileContent(content.source, content.sha256, content.crc32, content.size, executable=False)
    return part
