"""The parts of fnkit that ship in Python bundles, without the tool.

Every bundle has the decorators, types and errors. Those with handlers that the platform cannot call itself have the
adapters too, and an entry module for each such handler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import fnkit.errors
from fnkit.bundler.files.content import FileContent, atomic_file, hash_file
from fnkit.project.model import EntryModule, FunctionSpec

_PACKAGE: Final = Path(fnkit.errors.__file__).parent
_TOOL_MODULES: Final = frozenset({"describe.py", "schemas.py"})
"""What only `fnkit openapi` needs of the adapters."""


def authoring_runtime() -> dict[str, FileContent]:
    """Return the content of fnkit's own files by path in the archive, from the running installation."""
    return _contents(
        [_PACKAGE / "__init__.py", _PACKAGE / "errors.py", *sorted((_PACKAGE / "authoring").rglob("*.py"))]
    )


def adapter_runtime(*, with_tools: bool = False) -> dict[str, FileContent]:
    """Return the content of the adapters by path in the archive.

    Args:
        with_tools: Whether to include what no archive needs.
    """
    sources = sorted((_PACKAGE / "adapters").rglob("*.py"))
    return _contents([one for one in sources if with_tools or one.name not in _TOOL_MODULES])


def entry_files(functions: Iterable[FunctionSpec], cache: Path) -> dict[str, FileContent]:
    """Return the adapters and the entry modules that functions need, by path in the archive; often none.

    Args:
        functions: Functions in Python.
        cache: Where the modules are written.
    """
    entries = [one.entry for one in functions if one.entry is not None]
    if not entries:
        return {}
    return {**adapter_runtime(), **{one.entry_file: _entry_content(one, cache) for one in entries}}


def write_entry(entry: EntryModule, cache: Path, *, describes: bool = False) -> Path:
    """Write an entry module to a directory of its own, and return its path.

    Args:
        entry: The module.
        cache: The bundler's cache.
        describes: Whether it describes the handler instead of calling it, for `fnkit openapi`.
    """
    location, _, name = entry.handler.rpartition(".")
    stem = location.rpartition("/")[2]
    if stem.isidentifier():
        target, statement = "handler", f"from {stem} import {name} as handler\n"
    else:
        target, statement = f'import_module("{stem}").{name}', "from importlib import import_module\n"
    call = f"{name} = adapt({target})\n"
    adapters = "adapters import adapt"
    if describes:
        call = f'def {name}(event, context):\n    return describe({target}, event["path"][1:])\n'
        adapters = "adapters.describe import describe"
    lines = (
        f'"""Written by fnkit: calls {name} of {entry.file}, {entry.handler_kind}, with event and context."""\n',
        f"\n{statement}\nfrom fnkit.{adapters}\n",
        f"\n{call}",
    )
    content = "".join(lines).encode()
    digest = hashlib.sha256(entry.entry_file.encode() + b"\0" + content).hexdigest()[:16]
    path = cache / "entries" / digest / entry.entry_file.rpartition("/")[2]
    if not path.is_file() or path.read_bytes() != content:
        with atomic_file(path) as file:
            file.write(content)
    return path


def _entry_content(entry: EntryModule, cache: Path) -> FileContent:
    return _contents_of(write_entry(entry, cache), entry.entry_file)


def _contents(sources: Iterable[Path]) -> dict[str, FileContent]:
    names = {f"package/fnkit/{source.relative_to(_PACKAGE).as_posix()}": source for source in sources}
    return {name: _contents_of(source, name) for name, source in names.items()}


def _contents_of(source: Path, name: str) -> FileContent:
    content = hash_file(source, name)
    return FileContent(content.source, content.sha256, content.crc32, content.size, executable=False)
