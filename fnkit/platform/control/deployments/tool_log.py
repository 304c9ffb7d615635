"""The output of a build tool in the build log."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from fnkit.platform.control.deployments.build_job import BuildFailed, BuildLog

_MAX_HEAD_LINES: Final = 400
_MAX_TAIL_LINES: Final = 100
_MAX_LINE_BYTES: Final = 4096
_MAX_OUTPUT_BYTES: Final = 32 * 1024 * 1024
_CONTROL_CHARACTERS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class ToolLog:
    """Writes the output of a tool to the build log: its first lines, and its last ones.

    Args:
        log: The build log.
        names: Paths, and what is shown instead of each.
        hints: Texts, and what is added at the end if the output contains them.
    """

    def __init__(self, log: BuildLog, names: Sequence[tuple[str, str]], hints: Mapping[str, str]) -> None:
        self._log = log
        self._hints = hints
        self._found: dict[str, None] = {}
        self._names = [*((f"{path}/", f"{name}/" if name else "") for path, name in names)]
        self._names += [(path, name or ".") for path, name in names]
        self._rest = b""
        self._size = 0
        self._written = 0
        self._left_out = 0
        self._tail: deque[str] = deque(maxlen=_MAX_TAIL_LINES)

    def add(self, output: bytes) -> None:
        """Add what the tool has written.

        Raises:
            BuildFailed: It has written too much.
        """
        self._size += len(output)
        if self._size > _MAX_OUTPUT_BYTES:
            raise BuildFailed(f"The build was ended: its output is larger than {_MAX_OUTPUT_BYTES >> 20} MiB.")
        *lines, rest = (self._rest + output).split(b"\n")
        self._rest = rest[:_MAX_LINE_BYTES]
        for line in lines:
            self._add(line)

    def _add(self, line: bytes) -> None:
        text = _CONTROL_CHARACTERS.sub("", line[:_MAX_LINE_BYTES].decode(errors="replace")).rstrip()
        for path, name in self._names:
            text = text.replace(path, name)
        if not text:
            return
        self._found.update(dict.fromkeys(hint for part, hint in self._hints.items() if part in text))
        if self._written < _MAX_HEAD_LINES:
            self._written += 1
            self._log.write(text)
            return
        self._left_out += len(self._tail) == _MAX_TAIL_LINES
        self._tail.append(text)

    def close(self) -> None:
        """Write the last lines, and hints."""
        self._add(self._rest)
        if self._left_out:
            self._log.write(f"({self._left_out} lines are left out.)")
        for line in (*self._tail, *(f"hint: {hint}" for hint in self._found)):
            self._log.write(line)
