"""PHP: a handler, and PHP's built-in server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.languages.language import Language
from benchmarks.servers import Server

__all__ = ["PHP"]

_HANDLER: Final = (
    "<?php\nfunction handle($event, $context) {{ return ['statusCode' => 200, 'body' => '{answer}']; }}\n"
)
_PAGE: Final = "<?php\nheader('Content-Length: 5');\necho 'hello';\n"


def _files(answer: str) -> Mapping[str, str]:
    return {"handler.php": _HANDLER.format(answer=answer)}


def _server(folder: Path) -> Server:
    return Server("php -S", folder, ["php", "-S", "127.0.0.1:{port}"])


PHP: Final = Language(
    "php",
    "php",
    "php84",
    "handler.handle",
    _files,
    _server,
    cold_goal=1 / 3,
    server_files={"index.php": _PAGE},
)
