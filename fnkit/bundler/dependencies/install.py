"""Installs the packages of a lock into a virtual environment of this machine, with uv.

uv has its own cache, which it shares with the user's other projects: files of an environment are hard links to it.
Packages without a URL, and those that are built from source, are fetched and built as for a bundle.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage, format_lock
from fnkit.bundler.dependencies.resolution_failures import condense_output
from fnkit.bundler.dependencies.resolver import run_tool
from fnkit.bundler.dependencies.uv import find_uv
from fnkit.bundler.dependencies.uv_settings import (
    project_uv_settings,
    write_package_indexes,
    write_uv_settings,
)
from fnkit.bundler.model import BundleProgress, ProgressCallback
from fnkit.errors import BundleError
from fnkit.project.package_sources import PackageIndexes

_TIMEOUT_SECONDS = 600
_QUIET = ("--quiet", "--color", "never", "--no-progress")


def create_virtual_environment(directory: Path, interpreter: str) -> Path:
    """Create a virtual environment without packages, and return the path of its interpreter.

    Raises:
        BundleError: ``environment`` if it could not be created.
    """
    _run_uv(["venv", "--no-project", "--python", interpreter, str(directory)], directory.parent)
    return directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install_lock(
    lock: Lock,
    root: Path,
    python: Path,
    cache: Path,
    *,
    report: ProgressCallback,
    allow_builds: AllowBuildsCallback,
) -> None:
    """Install the packages of a lock, and compile them.

    Args:
        lock: The lock, whose target must be this machine.
        root: The project's directory.
        python: The interpreter of the environment.
        cache: The cache of the bundler.
        report: Called at each step.
        allow_builds: Called before code of a package runs.

    Raises:
        BundleError: A package could not be fetched, built or installed.
    """
    if not lock.packages:
        return
    listed = tuple(one for one in lock.packages if one.kind == "wheel" and one.url is not None)
    others = tuple(one for one in lock.packages if one not in listed)
    report(BundleProgress(stage="install", runtime=lock.runtime, detail=f"{len(lock.packages)} packages"))
    with tempfile.TemporaryDirectory(prefix="fnkit-install-") as name:
        folder = Path(name)
        write_uv_settings(project_uv_settings(root), folder)
        if listed:
            # uv accepts only this name for a lock in this format.
            (folder / "pylock.toml").write_text(format_lock(replace(lock, packages=listed)), "utf-8")
            _install(["sync", "--require-hashes", "pylock.toml"], python, folder)
        if others:
            wheels = _named_wheels(lock, others, root, folder, cache, report, allow_builds)
            _install(["install", "--no-deps", "--no-index", *wheels], python, folder)


def install_requirements(
    requirements: tuple[str, ...],
    root: Path,
    python: Path,
    *,
    pins: tuple[str, ...] = (),
    indexes: PackageIndexes | None = None,
) -> None:
    """Resolve and install requirements beside what an environment has.

    Args:
        requirements: PEP 508 requirements.
        root: The project's directory, whose indexes are used.
        python: The interpreter of the environment.
        pins: Packages that must keep their versions, as ``name==version``.
        indexes: The indexes that some of the packages are taken from.

    Raises:
        BundleError: ``environment`` if they could not be resolved or installed.
    """
    if not requirements:
        return
    with tempfile.TemporaryDirectory(prefix="fnkit-install-") as name:
        folder = Path(name)
        settings = project_uv_settings(root)
        write_uv_settings(settings, folder)
        (folder / "pins.txt").write_text("".join(f"{pin}\n" for pin in pins), "utf-8")
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements), "utf-8")
        command = ["install", "--constraints", "pins.txt", "--requirements", "requirements.txt"]
        if indexes:
            command += ["--requirements", str(write_package_indexes(settings, indexes, folder))]
        _install(command, python, folder)


def _named_wheels(
    lock: Lock,
    packages: tuple[LockedPackage, ...],
    root: Path,
    folder: Path,
    cache: Path,
    report: ProgressCallback,
    allow_builds: AllowBuildsCallback,
) -> list[str]:
    """Return the wheels of packages under names that uv accepts: those in the cache are named by their hashes."""
    from fnkit.bundler.dependencies.locked_wheels import locked_wheels

    wheels = locked_wheels(root, packages, cache, runtime=lock.runtime, report=report, allow_builds=allow_builds)
    named: list[str] = []
    for package in packages:
        file = f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
        link = folder / (package.filename if package.kind == "wheel" else file)
        link.symlink_to(_checked_wheel(package, wheels[package.name]))
        named.append(str(link))
    return named


def _checked_wheel(package: LockedPackage, wheel: Path) -> Path:
    """Return a wheel of the cache, or delete it if its bytes are not the locked ones.

    Raises:
        BundleError: ``hash-mismatch``.
    """
    if package.kind == "wheel" and hashlib.sha256(wheel.read_bytes()).hexdigest() != package.sha256:
        wheel.unlink(missing_ok=True)
        raise BundleError(
            f"The SHA-256 of the wheel of {package.name} in the cache is not the locked one.",
            code="hash-mismatch",
            hint="Run the command again, which fetches it again.",
        )
    return wheel


def _install(arguments: list[str], python: Path, folder: Path) -> None:
    command, *rest = arguments
    options = ("--python", str(python), "--compile-bytecode", "--only-binary", ":all:")
    _run_uv(["pip", command, *options, *rest], folder)


def _run_uv(arguments: list[str], folder: Path) -> None:
    try:
        result = run_tool([find_uv(), *arguments, *_QUIET], folder, timeout_seconds=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _environment_error(f"uv took longer than {_TIMEOUT_SECONDS // 60} minutes") from error
    if result.returncode != 0:
        raise _environment_error(condense_output(result.stderr))


def _environment_error(reason: str) -> BundleError:
    return BundleError(
        f"The project's environment on this machine could not be made: {reason}.",
        code="environment",
        hint="Check the connection to the package index, then try again; `fnkit lock --target local` resolves the "
        "requirements again.",
    )
