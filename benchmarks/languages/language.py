"""A language of the benchmark: a project, its function, and the server that its users would start instead."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measurement import BenchmarkSkipped
from benchmarks.servers import Server

__all__ = ["HELLO", "Compiler", "Language", "prepare_server", "write_files"]

HELLO: Final = "hello"
"""What functions and references answer."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """How a user compiles the server of a project.

    Attributes:
        command: Returns the compiler's command, with the options by which the platform's builder decides what is
            compiled and how.
        environment: Its variables, besides those of the benchmark.
    """

    command: Callable[[], list[str]]
    environment: Mapping[str, str]

    def run(self, project: Path) -> None:
        """Compile a project.

        Raises:
            BenchmarkSkipped: The compiler failed, for example because it cannot download what the project needs.
        """
        command = self.command()
        variables = {**os.environ, **self.environment}
        done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no output"]
            raise BenchmarkSkipped(f"`{' '.join(command[:2])}` failed: {lines[-1]}")


@dataclass(frozen=True, slots=True)
class Language:
    """A language.

    Attributes:
        name: The name of its function.
        program: What must be on ``PATH``.
        runtime: The runtime of the function.
        handler: Its handler.
        files: Returns the project, by path: a function that answers with a text, and in compiled languages also a
            program that serves the same handler.
        server: The reference. Its folder is filled by ``files`` and ``server_files``, and compiled.
        cold_goal: What a cold start may take of the start of the reference.
        server_files: What the reference needs besides the project, by path.
        compiler: Compiles the reference; ``None`` if nothing is compiled.
    """

    name: str
    program: str
    runtime: str
    handler: str
    files: Callable[[str], Mapping[str, str]]
    server: Callable[[Path], Server]
    cold_goal: float
    server_files: Mapping[str, str] = field(default_factory=dict)
    compiler: Compiler | None = None


def prepare_server(language: Language, folder: Path) -> Server:
    """Write the project of the reference, compile it, and return its server.

    Raises:
        BenchmarkSkipped: The language is not on this machine, or the reference cannot be compiled.
    """
    if shutil.which(language.program) is None:
        raise BenchmarkSkipped(f"{language.program} is not on PATH")
    write_files(folder, {**language.files(HELLO), **language.server_files})
    if language.compiler is not None:
        language.compiler.run(folder)
    return language.server(folder)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by path, with their folders. Those that are the same keep their times: compilers compare them."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
