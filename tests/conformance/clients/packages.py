"""Third-party clients, installed by their own package managers into a folder outside the repository.

The folder is ``$FNKIT_CLIENTS``, else ``~/.cache/fnkit-clients``. Versions are pinned here. Tests of a client whose
toolchain or registry is unavailable are skipped, and the skip reason names it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.platform import PlatformUnderTest

__all__ = [
    "client_environment",
    "go_sdk",
    "javascript_sdk",
    "loki_program",
    "pyright",
    "scw_serverless",
    "serverless_framework",
]

SCW_SERVERLESS = "1.2.0"
JAVASCRIPT_SDK = ("@scaleway/sdk-function@1.7.0", "@scaleway/sdk-client@1.3.3")
SERVERLESS = ("serverless@3.40.0", "serverless-scaleway-functions@0.5.0")
PYRIGHT = ("pyright@1.1.414",)
GO_SDK = "1.39.0"
LOKI = "3.7.8"
LOKI_PUSH = "v0.0.0-20250630054201-94c0ba7b0952"  # a separate module, which Loki's go.mod expects in pkg/push

# Read before the tests change HOME and unset the proxies, because package managers need their settings and caches.
_ORIGINAL_ENVIRONMENT = dict(os.environ)
_FOLDER = Path(os.environ.get("FNKIT_CLIENTS") or Path.home() / ".cache" / "fnkit-clients")
_NPM_INSTALL = ("npm", "install", "--no-package-lock", "--no-fund", "--no-audit", "--ignore-scripts")


def client_environment(platform: PlatformUnderTest) -> dict[str, str]:
    """Return a client's environment: the output of ``fnkit platform env``, and no proxy for loopback."""
    printed = platform.command("platform", "env", "--format", "dotenv").ok().stdout
    variables = dict(line.split("=", 1) for line in printed.splitlines())
    return {**os.environ, **variables, "NO_PROXY": "127.0.0.1,localhost"}


def scw_serverless() -> Path:
    """Return the ``bin`` folder of a virtual environment that has scw-serverless."""
    folder = _FOLDER / f"scw-serverless-{SCW_SERVERLESS}"
    if not _complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _run((sys.executable, "-m", "venv", "--clear", str(folder)), folder)
        pip = str(folder / "bin" / "pip")
        _run((pip, "install", "--quiet", f"scw-serverless=={SCW_SERVERLESS}"), folder)
        _mark_complete(folder)
    return folder / "bin"


def javascript_sdk() -> Path:
    """Return a folder whose ``node_modules`` has Scaleway's JavaScript SDK."""
    return _node_packages("scaleway-sdk-js", JAVASCRIPT_SDK)


def serverless_framework() -> Path:
    """Return a folder whose ``node_modules`` has the Serverless Framework and Scaleway's plugin.

    The plugin verifies secrets with argon2, which npm installs uncompiled, so it is compiled here.
    """
    return _node_packages("serverless", SERVERLESS, native="argon2")


def pyright() -> Path:
    """Return a folder whose ``node_modules`` has pyright, the type checker of VS Code's Python extension."""
    return _node_packages("pyright", PYRIGHT)


def go_sdk(driver: Path) -> Path:
    """Build ``driver`` with Scaleway's Go SDK; return the program."""
    _require("go")
    folder = _FOLDER / f"scaleway-sdk-go-{GO_SDK}"
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "main.go"
    if not source.is_file() or source.read_text() != driver.read_text() or not _complete(folder):
        (folder / ".complete").unlink(missing_ok=True)
        shutil.copyfile(driver, source)
        (folder / "go.mod").write_text(
            f"module driver\n\ngo 1.24\n\nrequire github.com/scaleway/scaleway-sdk-go v{GO_SDK}\n"
        )
        _run(("go", "mod", "tidy"), folder)
        _run(("go", "build", "-o", "driver", "."), folder)
        _mark_complete(folder)
    return folder / "driver"


def loki_program(name: str) -> Path:
    """Build ``logcli`` or ``loki`` from Grafana's module; return the program. The first build takes minutes."""
    _require("go")
    folder = _FOLDER / f"loki-{LOKI}"
    source = folder / "source"
    if not _complete(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _copy_module(f"github.com/grafana/loki/v3@v{LOKI}", source, folder)
        _copy_module(f"github.com/grafana/loki/pkg/push@{LOKI_PUSH}", source / "pkg" / "push", folder)
        _mark_complete(folder)
    program = folder / name
    if not program.is_file():
        _run(("go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(program), f"./cmd/{name}"), source, 1500)
    return program


def _copy_module(module: str, target: Path, folder: Path) -> None:
    """Copy a Go module's source, which is read-only in Go's cache."""
    downloaded = json.loads(_run(("go", "mod", "download", "-json", module), folder))
    shutil.copytree(downloaded["Dir"], target)
    for entry in [target, *target.rglob("*")]:
        entry.chmod(0o755 if entry.is_dir() else 0o644)


def _node_packages(name: str, packages: Sequence[str], native: str = "") -> Path:
    _require("node")
    _require("npm")
    folder = _FOLDER / "-".join([name, *(package.rpartition("@")[2] for package in packages)])
    if not _complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        _run((*_NPM_INSTALL, *packages), folder)
        if native:
            _run(("npm", "rebuild", native, "--build-from-source"), folder)
        _mark_complete(folder)
    return folder


def _require(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def _complete(folder: Path) -> bool:
    return (folder / ".complete").is_file()


def _mark_complete(folder: Path) -> None:
    (folder / ".complete").touch()


def _run(command: Sequence[str], folder: Path, seconds: float = 480) -> str:
    """Return the output of a package manager; skip the test if it fails or takes longer than ``seconds``."""
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            env=_ORIGINAL_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command[:3])} took longer than {seconds:g} s")
    if process.returncode:
        output = (process.stderr or process.stdout).strip().splitlines()
        pytest.skip(f"{' '.join(command[:3])} failed: {output[-1] if output else process.returncode}")
    return process.stdout
