"""Imports modules in child processes, for declarations that cannot be read from the source.

Each module has its own child process (``fnkit.scanner.import_child``) and a time limit. The child writes its
manifest to a file rather than to standard output, because the module may print, close its output, or start
processes that keep the output open.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from fnkit.authoring.declarations import Declaration
from fnkit.authoring.function_url import FunctionUrl
from fnkit.errors import Problem
from fnkit.scanner.decorators import build_declaration
from fnkit.scanner.imports import handler_string
from fnkit.scanner.module import ModuleScan
from fnkit.scanner.report import LocatedDeclaration, ScannedFunction, Signature
from fnkit.scanner.spans import Span
from fnkit.worker.python.included_directories import VARIABLE

IMPORT_TIMEOUT_SECONDS: Final = 30.0
_MANIFEST_MAX_BYTES: Final = 16 * 1024 * 1024
_CHILDREN_MAX: Final = 4
_SECRET_LENGTH_MIN: Final = 6
"""Shorter values also occur within ordinary words; replacing them would make messages unreadable."""


class _ManifestDeclaration(msgspec.Struct, frozen=True):
    kind: str
    arguments: dict[str, object]
    function_urls: dict[str, str] = {}


class _ManifestHandler(msgspec.Struct, frozen=True):
    name: str
    line: int
    summary: str
    declarations: list[_ManifestDeclaration]
    signature: Signature | None = None
    is_application: bool = False


class _ManifestFailure(msgspec.Struct, frozen=True):
    code: str
    message: str
    line: int | None = None


class _Manifest(msgspec.Struct, frozen=True):
    handlers: list[_ManifestHandler] = []
    failures: list[_ManifestFailure] = []


def import_in_subprocess(
    root: Path, scans: Sequence[ModuleScan], timeout: float, included: Mapping[str, Path]
) -> list[ModuleScan]:
    """Import the modules whose scans have problems that an import may resolve.

    Args:
        root: The project folder.
        scans: The results of the static scan.
        timeout: Time limit of one import.
        included: Directories outside the project that modules can import, by name.

    Returns:
        The scans in the same order. Those of imported modules contain the functions found by the import.
    """
    with ThreadPoolExecutor(_CHILDREN_MAX) as pool:
        return list(
            pool.map(
                lambda one: _import_module(root, one, timeout, included) if one.resolvable_by_import else one, scans
            )
        )


def _import_module(root: Path, module_scan: ModuleScan, timeout: float, included: Mapping[str, Path]) -> ModuleScan:
    status, content = _run_child(root, module_scan.file, timeout, included)
    if status is None:
        message = f"Importing {module_scan.file} took longer than {timeout:g} s and was stopped."
        return _with_import_problem(
            "import-timeout", message, "Avoid long-running work at the module's top level.", module_scan
        )
    try:
        manifest = msgspec.json.decode(content, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = (
            f"The process importing {module_scan.file} exited{_describe_status(status)} "
            "before the import completed."
        )
        return _with_import_problem(
            "import-failed", message, "Do not exit the process at the module's top level.", module_scan
        )
    return _with_manifest(module_scan, manifest)


def _with_import_problem(code: str, message: str, hint: str, module_scan: ModuleScan) -> ModuleScan:
    """Return the scan with this problem in place of those that the import should have resolved."""
    return replace(
        module_scan,
        resolvable_by_import=(),
        problems=(*module_scan.problems, Problem(code, message, hint, module_scan.file, 1)),
    )


def _redact_environment(text: str) -> str:
    """Replace environment values in an error message with their names, because any of them may be a secret."""
    for name, value in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        if len(value) >= _SECRET_LENGTH_MIN and not value.startswith("/"):
            text = text.replace(value, f"<{name}>")
    return text


def _describe_status(status: int) -> str:
    if status >= 0:
        return f" with status {status}"
    try:
        return f" by {signal.Signals(-status).name}"
    except ValueError:
        return ""


def _with_manifest(module_scan: ModuleScan, manifest: _Manifest) -> ModuleScan:
    problems = list(module_scan.problems)
    for failure in manifest.failures:
        hint = (
            "--import requires a module that imports on this machine." if failure.code == "import-failed" else None
        )
        message = f"{module_scan.file}: {_redact_environment(failure.message)}"
        problems.append(Problem(failure.code, message, hint, module_scan.file, failure.line or 1))
    functions: list[ScannedFunction] = []
    for handler in manifest.handlers:
        marks: list[LocatedDeclaration] = []
        for entry in handler.declarations:
            declaration = _build_declaration(module_scan.file, handler, entry, problems)
            if declaration is not None:
                marks.append(LocatedDeclaration(declaration=declaration, span=Span(handler.line)))
        functions.append(
            ScannedFunction(
                python_name=handler.name,
                file=module_scan.file,
                line=handler.line,
                handler=handler_string(module_scan.file, handler.name),
                declarations=tuple(marks),
                signature=handler.signature,
                span=Span(handler.line),
                summary=handler.summary,
                is_application=handler.is_application,
            )
        )
    return replace(
        module_scan, functions=tuple(functions), problems=tuple(dict.fromkeys(problems)), resolvable_by_import=()
    )


def _build_declaration(
    file: str, handler: _ManifestHandler, entry: _ManifestDeclaration, problems: list[Problem]
) -> Declaration | None:
    arguments, env = dict(entry.arguments), entry.arguments.get("env")
    if entry.function_urls and isinstance(env, dict):
        arguments["env"] = env | {name: FunctionUrl(function) for name, function in entry.function_urls.items()}
    declaration, argument_problems = build_declaration(entry.kind, arguments)
    for problem in argument_problems:
        message = f"@{entry.kind} on {handler.name}: {problem.message}."
        problems.append(Problem(problem.code, message, problem.hint, file, handler.line))
    return declaration


def _run_child(root: Path, file: str, timeout: float, included: Mapping[str, Path]) -> tuple[int | None, bytes]:
    """Return the exit status of the child process, ``None`` after a timeout, and the content of its manifest."""
    with tempfile.TemporaryDirectory(prefix="fnkit-scan-") as folder:
        target = Path(folder) / "manifest.json"
        child = subprocess.Popen(
            [sys.executable, "-m", "fnkit.scanner.import_child", str(root), file, str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=root,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": _python_path(),
                VARIABLE: json.dumps({name: str(directory) for name, directory in included.items()}),
            },
        )
        try:
            status: int | None = child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _kill(child)
        return status, _read_bounded(target)


def _python_path() -> str:
    """Return a ``PYTHONPATH`` whose first entry is the folder of the running fnkit, so that the child uses it."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and, where sessions exist, the processes that the module left in its session."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read_bounded(target: Path) -> bytes:
    try:
        with target.open("rb") as stream:
            return stream.read(_MANIFEST_MAX_BYTES)
    except OSError:
        return b""
