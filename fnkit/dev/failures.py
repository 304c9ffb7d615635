"""Why a function does not work, with the place in the project: out of the output of compilers and interpreters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fnkit.client.loki import LogClient, LogServer
from fnkit.contract.invocation.environment import CODE_DIRECTORY
from fnkit.errors import ApiError, DeployError
from fnkit.logs.query import LogSelection
from fnkit.logs.reading import LogReader

IMPORT_FAILED: Final = "import-failed"
BUILD_FAILED: Final = "function-in-error"
_STILL_SERVED: Final = "The last version that worked is still served."
_NOT_SERVED: Final = "It is deployed as soon as this is corrected."
_NOT_IMPORTED: Final = "Every request gets an error until this is corrected."
_SHOWN_LINES: Final = 12
_READ_LINES: Final = 500
_SOURCES: Final = r"(?P<file>[^\s:\"'()]+\.(?:go|rs|[cm]?[jt]s|php|py|toml|json|mod))"
_PLACE: Final = re.compile(rf"{_SOURCES}(?:\", line |:)(?P<line>\d+)")
_CODE_FILE: Final = re.compile(rf'"{CODE_DIRECTORY}/([^"]+)"')
_ERROR: Final = re.compile(r"error(?:\[\w+\])?:")

BuildOutput = Callable[[str], Sequence[str]]
"""Returns the lines that the newest build of a function wrote, given its id."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; the path is relative to the code of the function."""

    file: str
    line: int


def read_build_output(server: LogServer, function_id: str) -> list[str]:
    """Return what the newest failed build of a function wrote; nothing if that cannot be read."""
    try:
        with LogClient(server) as client:
            reader = LogReader(client, lambda: [function_id], LogSelection(builds=True))
            _, lines = reader.read_newest(0, _READ_LINES)
    except ApiError:
        return []
    newest = max((one.generation for one in lines), default=0)
    # The version before may have been deployed again since, which has no error.
    for generation in (newest, newest - 1):
        found = [one.message for one in lines if one.generation == generation]
        if compile_error(found):
            return found
    return []


def compile_error(lines: Sequence[str]) -> list[str]:
    """Return the part of a build's output that says what is wrong; empty if there is none.

    >>> compile_error(["Compiling handler v0.1.0", "error[E0425]: not found", " --> src/lib.rs:5:5"])
    ['error[E0425]: not found', ' --> src/lib.rs:5:5']
    """
    kept = [line for line in lines if line.strip()]
    starts = [index for index, line in enumerate(kept) if _ERROR.match(line)]
    starts = starts or [index for index, line in enumerate(kept) if _PLACE.search(line)]
    return kept[starts[0] :][:_SHOWN_LINES] if starts else []


def find_place(lines: Sequence[str]) -> Place | None:
    """Return the place in the function's code that an error names; of a traceback in Python, the innermost one.

    >>> find_place(["./handler.go:6:2: undefined: missing"])
    Place(file='handler.go', line=6)
    >>> find_place(['  File "/home/app/function/a.py", line 1', '  File "/home/app/function/b.py", line 2'])
    Place(file='b.py', line=2)
    >>> find_place(['  File "/usr/lib/python3/json.py", line 1, in f'])
    """
    own = [match for line in lines for match in _PLACE.finditer(line) if _is_own(match["file"])]
    if not own:
        return None
    match = own[-1] if "line " in own[0][0] else own[0]
    return Place(match["file"].removeprefix(f"{CODE_DIRECTORY}/").removeprefix("./"), int(match["line"]))


def _is_own(file: str) -> bool:
    inside = file.removeprefix(f"{CODE_DIRECTORY}/")
    return not inside.startswith(("/", "package/", "node_modules/", "vendor/"))


def located(
    name: str,
    failure: DeployError,
    folder: str,
    output: Sequence[str],
    *,
    is_served: bool,
    shown: Callable[[str], str] = str,
) -> DeployError:
    """Return a failure with the place that it is about, and what a compiler has written.

    Args:
        name: The function.
        failure: Why a function was not deployed, or cannot be imported.
        folder: The directory of the function's code, relative to the project.
        output: What its build wrote, if it has failed.
        is_served: Whether an earlier version is served.
        shown: Returns the path in the project of a file of an archive.
    """
    if failure.code == BUILD_FAILED and (errors := compile_error(output)):
        place = find_place(errors)
        text = "\n".join(f"    {line}" for line in errors)
        message = f"{name} was not deployed, because it cannot be built:\n{text}"
        hint = _STILL_SERVED if is_served else _NOT_SERVED
    elif failure.code == IMPORT_FAILED:
        lines = [line for line in failure.message.splitlines() if line.strip()]
        place = find_place(lines)
        message = _CODE_FILE.sub(lambda found: f'"{shown(found[1])}"', "\n".join(lines))
        message = message.replace(f"{CODE_DIRECTORY}/", "")
        hint = _NOT_IMPORTED
    else:
        return failure
    if place is None:
        return DeployError(message, code=failure.code, hint=hint)
    parts = (*(part for part in folder.split("/") if part not in ("", ".")), place.file)
    return DeployError(message, code=failure.code, hint=hint, file=shown("/".join(parts)), line=place.line)
