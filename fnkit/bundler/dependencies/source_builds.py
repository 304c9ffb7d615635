"""Builds wheels from source distributions, for packages that the project allows by name; pure Python only.

The build uses this machine's interpreter, so compiled parts would not fit the target. The built wheel is checked
for them and cached under the SHA-256 of its source.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.resolution_failures import condense_output
from fnkit.bundler.dependencies.resolver import run_tool
from fnkit.bundler.dependencies.uv import find_uv
from fnkit.bundler.files.content import atomic_file
from fnkit.bundler.model import BundleProgress, ProgressCallback
from fnkit.errors import BundleError

_TIMEOUT_SECONDS = 900
_COMPILED_SUFFIXES = (".so", ".pyd", ".dylib", ".dll", ".a", ".o")


def find_built_wheel(package: LockedPackage, cache: Path) -> Path | None:
    """Return the wheel that was built from a source distribution, or ``None`` if none was."""
    wheel = _built_wheel_path(package, cache)
    return wheel if package.kind == "sdist" and wheel.is_file() else None


def _built_wheel_path(package: LockedPackage, cache: Path) -> Path:
    return cache / "wheels" / f"{package.sha256}.built.whl"


def build_wheel(
    package: LockedPackage, source: Path, cache: Path, *, runtime: str, report: ProgressCallback
) -> Path:
    """Build a wheel from a source distribution, which runs its code, and return its path in the cache.

    Raises:
        BundleError: ``source-build`` when it cannot be built, ``source-build-compiled`` when it is not pure Python.
    """
    cached_wheel = _built_wheel_path(package, cache)
    report(BundleProgress(stage="build", runtime=runtime, detail=package.name))
    with tempfile.TemporaryDirectory(prefix="fnkit-build-") as folder:
        source_file = Path(folder, package.filename)  # build tools read name and version from the file's name
        shutil.copyfile(source, source_file)
        output = Path(folder, "wheel")
        _run_build(package, source_file, output)
        wheels = list(output.glob("*.whl"))
        if len(wheels) != 1:
            raise _build_error(package, "the build produced no wheel")
        _check_pure(package, wheels[0])
        with atomic_file(cached_wheel) as file, wheels[0].open("rb") as built:
            shutil.copyfileobj(built, file)
    return cached_wheel


def _run_build(package: LockedPackage, source: Path, output: Path) -> None:
    command = [
        *(find_uv(), "build", "--wheel", "--no-config", "--quiet", "--color", "never", "--no-progress"),
        *("--python", sys.executable, "--out-dir", str(output), str(source)),
    ]
    try:
        result = run_tool(command, source.parent, timeout_seconds=_TIMEOUT_SECONDS, runs_builds=True)
    except subprocess.TimeoutExpired as error:
        raise _build_error(package, f"the build took longer than {_TIMEOUT_SECONDS // 60} minutes") from error
    if result.returncode != 0:
        raise _build_error(package, condense_output(result.stderr))


def _check_pure(package: LockedPackage, wheel: Path) -> None:
    try:
        tags = parse_wheel_filename(wheel.name)[3]
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            [description] = [name for name in names if name.endswith(".dist-info/WHEEL")]
            pure = "root-is-purelib: true" in archive.read(description).decode("utf-8", "replace").lower()
    except (InvalidWheelFilename, zipfile.BadZipFile, ValueError) as error:
        raise _build_error(package, "its wheel cannot be read") from error
    any_machine = all(tag.abi == "none" and tag.platform == "any" for tag in tags)
    if pure and any_machine and not any(name.lower().endswith(_COMPILED_SUFFIXES) for name in names):
        return
    raise BundleError(
        f"{package.name} {package.version} built from source contains compiled code, which would be built for this "
        "machine instead of the target.",
        code="source-build-compiled",
        hint="Choose a version with a wheel for the target, or remove it from source_builds.",
    )


def _build_error(package: LockedPackage, reason: str) -> BundleError:
    return BundleError(
        f"{package.name} {package.version} could not be built from source: {reason}.",
        code="source-build",
        hint="Choose a version with a wheel.",
    )
