"""Go: a module with a handler, and a program in it that serves the handler with ``net/http``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.languages.language import Compiler, Language
from benchmarks.servers import Server

__all__ = ["GO"]

_MODULE: Final = "module example.com/hello\n\ngo 1.24\n"
_HANDLER: Final = """package hello

import "net/http"

func Handle(w http.ResponseWriter, r *http.Request) {{ w.Write([]byte("{answer}")) }}
"""
_PROGRAM: Final = """package main

import (
\t"net/http"
\t"os"

\t"example.com/hello"
)

func main() {
\thttp.HandleFunc("/", hello.Handle)
\thttp.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
}
"""
_BUILD: Final = ("go", "build", "-trimpath", "-buildvcs=false", "-mod=mod", "-o", "server", "./cmd")


def _files(answer: str) -> Mapping[str, str]:
    return {"go.mod": _MODULE, "handler.go": _HANDLER.format(answer=answer), "cmd/main.go": _PROGRAM}


def _server(folder: Path) -> Server:
    return Server("the same handler in Go, bare", folder, ["./server", "{port}"])


GO: Final = Language(
    "go",
    "go",
    "go126",
    "Handle",
    _files,
    _server,
    cold_goal=2.0,
    compiler=Compiler(
        lambda: list(_BUILD), {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    ),
)
