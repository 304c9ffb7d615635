"""Rust: a crate with a handler, and a program in it that serves the handler with axum."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.languages.language import Compiler, Language
from benchmarks.measurement import BenchmarkSkipped
from benchmarks.servers import Server

__all__ = ["RUST"]

_MANIFEST: Final = """[package]
name = "hello"
version = "0.1.0"
edition = "2021"

[dependencies]
axum = "0.8"
tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }

# What the platform's builder sets.
[profile.release]
debug = "line-tables-only"
incremental = true
"""
_HANDLER: Final = """use axum::{{body::Body, extract::Request, response::Response}};

pub async fn handle(_request: Request<Body>) -> Response<Body> {{
    Response::new(Body::from("{answer}"))
}}
"""
_PROGRAM: Final = """#[tokio::main]
async fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, axum::Router::new().fallback(hello::handle)).await.unwrap();
}
"""


def _files(answer: str) -> Mapping[str, str]:
    return {"Cargo.toml": _MANIFEST, "src/lib.rs": _HANDLER.format(answer=answer), "src/main.rs": _PROGRAM}


def _server(folder: Path) -> Server:
    return Server("the same handler in Rust, bare", folder, ["target/release/hello", "{port}"])


@functools.cache
def _build() -> list[str]:
    """Return the command of the toolchain itself: the programs on ``PATH`` may be rustup, which takes a moment."""
    found = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchmarkSkipped("rustc does not run")
    programs = Path(found.stdout.strip()) / "bin"
    return [str(programs / "cargo"), "build", "--release", "--config", f'build.rustc="{programs / "rustc"}"']


RUST: Final = Language(
    "rust",
    "cargo",
    "rust196",
    "handle",
    _files,
    _server,
    cold_goal=2.0,
    compiler=Compiler(_build, {"CARGO_TARGET_DIR": "target"}),
)
