"""Imports modules in child processes, for declarations that cannot be read from the source.

Each module has its own child process (``fnkit.scanner.import_child``) and a time limit. The child writes its
manifest to a file rather than to standard output, because the module may print, close its output, or start
processes that keep the output open.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from fnkit.authoring.declarations import Declaration
from fnkit.errors import Problem
from fnkit.scanner.declaring import declare
from fnkit.scanner.modules import ModuleScan
from fnkit.scanner.placement import handler_of
from fnkit.scanner.report import Marked, ScannedFunction, Signature

__all__ = ["IMPORT_SECONDS", "import_modules_apart"]

IMPORT_SECONDS: Final = 30.0
_MANIFEST_MAX_BYTES: Final = 16 * 1024 * 1024
_CHILDREN: Final = 4
_SECRET_LENGTH: Final = 6
"""Shorter values also occur within ordinary words; replacing them would make messages unreadable."""


class _Mark(msgspec.Struct, frozen=True):
    kind: str
    arguments: dict[str, object]


class _Handler(msgspec.Struct, frozen=True):
    name: str
    line: int
    summary: str
    declarations: list[_Mark]
    required: int = 0
    positional: int | None = None
    required_keywords: list[str] = []
    is_async: bool = False
    is_generator: bool = False
    known_signature: bool = False


class _Failure(msgspec.Struct, frozen=True):
    code: str
    message: str
    line: int | None = None


class _Manifest(msgspec.Struct, frozen=True):
    handlers: list[_Handler] = []
    failures: list[_Failure] = []


@dataclass(frozen=True, slots=True)
class _Ended:
    """Exit status of a child process, ``None`` after a timeout, and the content of its manifest."""

    status: int | None
    manifest: bytes


def import_modules_apart(root: Path, scans: Sequence[ModuleScan], seconds: float) -> list[ModuleScan]:
    """Import the modules whose scans have problems that an import may resolve.

    Args:
        root: The project folder.
        scans: The results of the static scan.
        timeout: Time limit of one import.

    Returns:
        The scans in the same order. Those of imported modules contain the functions found by the import.
    """
    with ThreadPoolExecutor(_CHILDREN) as pool:
        return list(pool.map(lambda one: _import(root, one, seconds) if one.computed else one, scans))


def _import(root: Path, one: ModuleScan, seconds: float) -> ModuleScan:
    ended = _run_child(root, one.file, seconds)
    if ended.status is None:
        message = f"Importing {one.file} took longer than {seconds:g} s and was stopped."
        return _problem("import-timeout", message, "Avoid long-running work at the module's top level.", one)
    try:
        manifest = msgspec.json.decode(ended.manifest, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = (
            f"The process importing {one.file} exited{_status_text(ended.status)} before the import completed."
        )
        return _problem("import-failed", message, "Do not exit the process at the module's top level.", one)
    return _read_manifest(one, manifest)


def _problem(code: str, message: str, hint: str, one: ModuleScan) -> ModuleScan:
    """Return the scan with this problem in place of those that the import should have resolved."""
    return replace(one, computed=(), problems=(*one.problems, Problem(code, message, hint, one.file, 1)))


def _without_values(text: str) -> str:
    """Replace environment values in an error message with their names, because any of them may be a secret."""
    for name, value in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        if len(value) >= _SECRET_LENGTH and not value.startswith("/"):
            text = text.replace(value, f"<{name}>")
    return text


def _status_text(status: int) -> str:
    if status >= 0:
        return f" with status {status}"
    try:
        return f" by {signal.Signals(-status).name}"
    except ValueError:
        return ""


def _read_manifest(one: ModuleScan, manifest: _Manifest) -> ModuleScan:
    problems = list(one.problems)
    for failure in manifest.failures:
        hint = (
            "--import requires a module that imports on this machine." if failure.code == "import-failed" else None
        )
        message = f"{one.file}: {_without_values(failure.message)}"
        problems.append(Problem(failure.code, message, hint, one.file, failure.line or 1))
    functions: list[ScannedFunction] = []
    for handler in manifest.handlers:
        marks: list[Marked] = []
        for entry in handler.declarations:
            declaration = _declaration(one.file, handler, entry, problems)
            if declaration is not None:
                marks.append(Marked(declaration=declaration, line=handler.line))
        functions.append(
            ScannedFunction(
                python_name=handler.name,
                file=one.file,
                line=handler.line,
                handler=handler_of(one.file, handler.name),
                marks=tuple(marks),
                signature=_signature(handler),
                summary=handler.summary,
            )
        )
    return replace(one, functions=tuple(functions), problems=tuple(dict.fromkeys(problems)), computed=())


def _declaration(file: str, handler: _Handler, mark: _Mark, problems: list[Problem]) -> Declaration | None:
    arguments: Mapping[str, object] = mark.arguments
    declaration, argument_problems = declare(mark.kind, arguments)
    for problem in argument_problems:
        message = f"@{mark.kind} on {handler.name}: {problem.message}."
        problems.append(Problem(problem.code, message, problem.hint, file, handler.line))
    return declaration


def _signature(handler: _Handler) -> Signature | None:
    if not handler.known_signature:
        return None
    return Signature(
        required=handler.required,
        positional=handler.positional,
        required_keywords=tuple(handler.required_keywords),
        is_async=handler.is_async,
        is_generator=handler.is_generator,
    )


def _run_child(root: Path, file: str, seconds: float) -> _Ended:
    with tempfile.TemporaryDirectory(prefix="fnkit-scan-") as folder:
        target = Path(folder) / "manifest.json"
        child = subprocess.Popen(
            [sys.executable, "-m", "fnkit.scanner.child", str(root), file, str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=root,
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": _search_path()},
        )
        try:
            status: int | None = child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _stop(child)
        return _Ended(status, _read_bounded(target))


def _search_path() -> str:
    """Return a ``PYTHONPATH`` whose first entry is the folder of the running fnkit, so that the child uses it."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and, where sessions exist, the processes that the module left in its session."""
    try:
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()


def _read_bounded(target: Path) -> bytes:
    try:
        with target.open("rb") as stream:
            return stream.read(_MANIFEST_MAX_BYTES)
    except OSError:
        return b""
