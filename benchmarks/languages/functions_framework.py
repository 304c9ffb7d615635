"""The framework of Google Cloud Functions for Node, from npm: a function per process, behind express."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.environments import install_node_package
from benchmarks.languages.language import HELLO, write_files
from benchmarks.servers import Server

__all__ = ["prepare_functions_framework"]

_PACKAGE: Final = "@google-cloud/functions-framework"
_VERSION: Final = "5.0.5"
_HANDLER: Final = f"exports.handle = (request, response) => response.send('{HELLO}');\n"


def prepare_functions_framework(folder: Path) -> Server:
    """Install the framework and return a server of a function.

    Raises:
        BenchmarkSkipped: It cannot be installed.
    """
    program = install_node_package(_PACKAGE, _VERSION) / ".bin" / "functions-framework"
    write_files(folder, {"index.js": _HANDLER})
    command = [str(program), "--target=handle", "--port={port}"]
    return Server(f"functions-framework-nodejs {_VERSION}", folder, command)
