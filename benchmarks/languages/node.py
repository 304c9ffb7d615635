"""Node: a handler, and a ``node:http`` server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.languages.language import Language
from benchmarks.servers import Server

__all__ = ["NODE", "make_handler"]

_HANDLER: Final = "exports.handle = async (event) => ({{ statusCode: 200, body: '{answer}' }});\n"
_SERVER: Final = """require("node:http")
  .createServer((request, response) => response.end("hello"))
  .listen(Number(process.argv[2]), "127.0.0.1");
"""


def make_handler(answer: str) -> Mapping[str, str]:
    """Return the files of a function. Its handler is valid for Scaleway and for AWS."""
    return {"handler.js": _HANDLER.format(answer=answer)}


def _server(folder: Path) -> Server:
    return Server("a node:http server", folder, ["node", "server.js", "{port}"])


NODE: Final = Language(
    "node",
    "node",
    "node24",
    "handler.handle",
    make_handler,
    _server,
    cold_goal=1 / 5,
    server_files={"server.js": _SERVER},
)
