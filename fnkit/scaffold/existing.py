"""Makes an existing folder a project: adds settings that fit its code, and changes no file.

Handlers are searched in the text of files: a name that looks like a handler becomes a function of the settings.
Functions in Python that are marked with decorators need no settings.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.names import function_name_error
from fnkit.contract.runtimes import RUNTIMES
from fnkit.scaffold.naming import project_name
from fnkit.scaffold.project import default_python_runtime

SETTINGS_FILE: Final = "fnkit.toml"
_SCHEMA_LINES: Final = (
    "#:schema .fnkit/schema.json",
    "# The schema is for editors; `fnkit scan --schema > .fnkit/schema.json` writes it again.",
)
_IGNORE_FILE: Final = ".gitignore"
_IGNORED: Final = (".env", ".env.*", "!.env.example", ".fnkit/", "__pycache__/")
_MAX_BYTES: Final = 1024 * 1024
_FOLDERS: Final = ("", "src")
"""Where handlers are searched: deeper files are rarely handlers, and a repository may be large."""

_NODE_HANDLER: Final = re.compile(
    r"(?:^export\s+(?:async\s+)?(?:function|const)\s+|^(?:module\.)?exports\.)(handle|handler)\b", re.MULTILINE
)
_PHP_HANDLER: Final = re.compile(r"^function\s+(handle|handler)\s*\(", re.MULTILINE)
_GO_HANDLER: Final = re.compile(
    r"^func\s+([A-Z]\w*)\(\w+ http\.ResponseWriter, \w+ \*http\.Request\)", re.MULTILINE
)
_RUST_HANDLER: Final = re.compile(r"^pub\s+async\s+fn\s+(\w+)", re.MULTILINE)
_PYTHON_HANDLER: Final = re.compile(r"^def\s+(handle|handler|lambda_handler)\(\s*event\b", re.MULTILINE)
_FNKIT_IMPORT: Final = re.compile(r"^(?:from|import)\s+fnkit\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FoundFunction:
    """A handler that becomes a function of the settings."""

    name: str
    runtime: str
    handler: str


@dataclass(frozen=True, slots=True)
class InitializedProject:
    """What was made of a folder.

    Attributes:
        files: The files that were written; empty if the folder is a project already.
        languages: The languages that were found.
        functions: The handlers that became functions of the settings.
        is_env_committed: Whether a ``.gitignore`` exists that does not name ``.env``.
    """

    files: tuple[str, ...]
    languages: tuple[str, ...]
    functions: tuple[FoundFunction, ...]
    is_env_committed: bool


def initialize_project(folder: Path, *, further_files: Mapping[str, str] | None = None) -> InitializedProject:
    """Write the settings and a ``.gitignore`` where the folder has none.

    Args:
        folder: A folder without settings of fnkit.
        further_files: Text of further files to write where there are none, by path relative to the folder.

    Raises:
        OSError: The folder cannot be read or written.
    """
    languages = tuple(name for name, language in _LANGUAGES.items() if language.is_used(folder))
    functions = tuple(_named(found for name in languages for found in _LANGUAGES[name].find(folder)))
    files = {SETTINGS_FILE: _settings(folder, languages, functions)}
    ignore = folder / _IGNORE_FILE
    if not ignore.exists():
        files[_IGNORE_FILE] = "".join(f"{line}\n" for line in _IGNORED)
    files |= {name: text for name, text in (further_files or {}).items() if not (folder / name).exists()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("x", encoding="utf-8", newline="\n") as file:  # never overwrites
            file.write(text)
    ignored = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
    is_env_committed = not {".env", "/.env", ".env*", "*.env"} & {line.strip() for line in ignored}
    return InitializedProject(tuple(sorted(files)), languages, functions, is_env_committed)


def has_code(folder: Path) -> bool:
    """Return whether a folder has code in a language that functions can be written in."""
    return any(language.is_used(folder) for language in _LANGUAGES.values())


@dataclass(frozen=True, slots=True)
class _Language:
    """How a language is recognised.

    Attributes:
        markers: Files of the folder whose presence says that it is used, as patterns.
        suffixes: Suffixes of files with handlers.
        pattern: What looks like a handler; its group is the name.
        handler_string: Returns the handler string for a path without suffix and a name.
    """

    name: str
    markers: tuple[str, ...]
    suffixes: tuple[str, ...]
    pattern: re.Pattern[str]
    handler_string: Callable[[str, str], str]

    def is_used(self, folder: Path) -> bool:
        return any(True for marker in self.markers for _ in folder.glob(marker))

    def find(self, folder: Path) -> Iterator[FoundFunction]:
        """Yield the handlers of a folder; their names are those of files, or of the folder, and not unique."""
        runtime = default_python_runtime() if self.name == "Python" else _newest_runtime(self.name)
        for path in sorted(_files(folder, self.suffixes)):
            text = _read(path)
            if self.name == "Python" and _FNKIT_IMPORT.search(text):
                continue
            relative = path.relative_to(folder).with_suffix("").as_posix()
            for name in dict.fromkeys(self.pattern.findall(text)):
                label = name if self.name in ("Go", "Rust") else path.stem
                yield FoundFunction(_function_name(label), runtime, self.handler_string(relative, name))


def _path_and_name(path: str, name: str) -> str:
    return f"{path}.{name}"


def _name_alone(_path: str, name: str) -> str:
    return name


_LANGUAGES: Final = {
    one.name: one
    for one in (
        _Language("Python", ("*.py", "requirements.txt"), (".py",), _PYTHON_HANDLER, _path_and_name),
        _Language("Node", ("package.json",), (".js", ".mjs", ".cjs", ".ts"), _NODE_HANDLER, _path_and_name),
        _Language("PHP", ("composer.json", "*.php"), (".php",), _PHP_HANDLER, _path_and_name),
        _Language("Go", ("go.mod",), (".go",), _GO_HANDLER, _name_alone),
        _Language("Rust", ("Cargo.toml",), (".rs",), _RUST_HANDLER, _name_alone),
    )
}


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for inner in _FOLDERS:
        for path in (folder / inner).glob("*"):
            is_test = re.search(r"(?:^|[._-])tests?$", path.stem) is not None
            if path.suffix in suffixes and not is_test and path.is_file() and "." not in path.stem:
                yield path


def _read(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def _function_name(text: str) -> str:
    """Return a function's name for the name of a file or of a handler."""
    return project_name(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text))[:34].rstrip("-")


def _named(functions: Iterable[FoundFunction]) -> Iterator[FoundFunction]:
    """Yield the functions with names of their own."""
    seen: set[str] = set()
    for one in functions:
        name, number = one.name, 2
        while name in seen:
            name, number = f"{one.name[:30]}-{number}", number + 1
        seen.add(name)
        if function_name_error(name) is None:
            yield FoundFunction(name, one.runtime, one.handler)


def _newest_runtime(language: str) -> str:
    versions = {
        tuple(map(int, one.version.split("."))): one.name
        for one in RUNTIMES
        if one.language == language and one.status == RuntimeStatus.AVAILABLE and one.version
    }
    return versions[max(versions)]


def _settings(folder: Path, languages: tuple[str, ...], functions: tuple[FoundFunction, ...]) -> str:
    lines = [*_SCHEMA_LINES, f'name = "{project_name(_declared_name(folder) or folder.resolve().name)}"']
    if "Python" in languages or not languages:
        lines += [
            "",
            "[defaults]",
            "# The Python of functions with decorators; it changes only when you change it here.",
            f'runtime = "{default_python_runtime()}"',
        ]
    for one in functions:
        lines += ["", "[[function]]", f'name = "{one.name}"']
        lines += [f'runtime = "{one.runtime}"', f'handler = "{one.handler}"']
    return "".join(f"{line}\n" for line in lines)


def _declared_name(folder: Path) -> str | None:
    """Return the project's name in pyproject.toml, if it has one."""
    try:
        found = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project")
    except (OSError, ValueError, RecursionError):
        return None
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None
