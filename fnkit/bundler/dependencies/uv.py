"""Resolves requirements with uv, the default backend.

uv can resolve for another Python version and C library than those of this machine.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage, format_lock
from fnkit.bundler.dependencies.resolution_failures import explain_failure
from fnkit.bundler.dependencies.resolver import (
    ResolutionRequest,
    not_lockable_error,
    run_resolver,
    url_filename,
    url_without_credentials,
    write_requirements,
)
from fnkit.bundler.dependencies.uv_settings import project_uv_settings, write_package_indexes, write_uv_settings
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError

_TIMEOUT_SECONDS = 600


class _PylockFile(msgspec.Struct, frozen=True, kw_only=True):
    url: str | None = None
    path: str | None = None
    size: int = 0
    hashes: dict[str, str] = {}


class _PylockPackage(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str | None = None
    wheels: list[_PylockFile] = []
    sdist: _PylockFile | None = None
    archive: _PylockFile | None = None


class _Pylock(msgspec.Struct, frozen=True, kw_only=True):
    packages: list[_PylockPackage] = []


def find_uv() -> str:
    """Return the path of the uv executable installed with fnkit.

    Raises:
        BundleError: ``uv-missing``.
    """
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise BundleError(
            "uv, which resolves requirements, is not installed.",
            code="uv-missing",
            hint="Install it in fnkit's environment: pip install uv.",
        ) from error


def resolve_with_uv(request: ResolutionRequest) -> tuple[LockedPackage, ...]:
    """Resolve the requirements for their target.

    Raises:
        BundleError: Resolution failed, with a code from ``resolution_failures``; ``requirement-not-lockable`` for
            directories and version control.
    """
    pylock = _compile_pylock(request, request.target.uv_platform)
    return tuple(_locked_package(request, package) for package in pylock.packages)


def names_with_uv(request: ResolutionRequest) -> frozenset[str]:
    """Return the names of the packages that the requirements need.

    Raises:
        BundleError: As ``resolve_with_uv``.
    """
    pylock = _compile_pylock(request, request.target.uv_platform)
    return frozenset(str(canonicalize_name(one.name)) for one in pylock.packages)


def newest_versions(request: ResolutionRequest, platform: str) -> dict[str, str]:
    """Return the versions that the requirements resolve to on another platform; empty when they do not resolve.

    Used for notes only, so failures are ignored.
    """
    try:
        pylock = _compile_pylock(request, platform)
    except BundleError:
        return {}
    return {str(canonicalize_name(one.name)): one.version for one in pylock.packages if one.version}


def _compile_pylock(request: ResolutionRequest, platform: str) -> _Pylock:
    target = request.target
    with tempfile.TemporaryDirectory(prefix="fnkit-lock-") as folder:
        requirements = write_requirements(request, Path(folder))
        output = Path(folder, "pylock.toml")
        if request.preferred and not request.upgrade:
            # uv keeps the versions of an existing output where they still fit.
            packages = tuple(replace(one, groups=()) for one in request.preferred)
            preferences = Lock(path=output, runtime="", target="", key="", packages=packages)
            output.write_text(format_lock(preferences), "utf-8")
        command = [
            *(find_uv(), "pip", "compile", "--no-header", "--no-annotate", "--color", "never", "--no-progress"),
            # With --python, uv does not search for an interpreter of the target's minor version (0.75 → 0.12 s).
            # It runs source builds only; the resolution is for --python-version.
            *("--python", sys.executable, "--python-version", target.python_name, "--python-platform", platform),
            *("--only-binary", ":all:", "--format", "pylock.toml", "--output-file", str(output), "--quiet"),
        ]
        for name in request.source_builds:
            command += ["--no-binary", name]
        if request.upgrade:
            command.append("--upgrade")
        settings = project_uv_settings(request.root)
        write_uv_settings(settings, Path(folder))
        inputs = [str(requirements)]
        if indexes := request.package_indexes:
            inputs.append(str(write_package_indexes(settings, indexes, Path(folder))))
        result = run_resolver(
            [*command, *inputs],
            Path(folder),
            timeout_seconds=_TIMEOUT_SECONDS,
            runs_builds=bool(request.source_builds),
            variables={"COLUMNS": "10000"},  # uv would wrap its sentences, which are parsed
        )
        if result.returncode != 0:
            raise explain_failure(result.stderr, request)
        return _read_pylock(output)


def _read_pylock(output: Path) -> _Pylock:
    try:
        return msgspec.convert(tomllib.loads(output.read_text("utf-8")), _Pylock)
    except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
        raise BundleError(
            f"The output of uv cannot be read: {error}.",
            code="lock-failed",
            hint="Install a version of uv that this version of fnkit supports (docs/dependencies.md).",
        ) from error


def _locked_package(request: ResolutionRequest, package: _PylockPackage) -> LockedPackage:
    wheels = [*package.wheels, *([package.archive] if package.archive else [])]
    wheel = _best_wheel(wheels, request.target)
    file = wheel or package.sdist
    if file is None:
        why = "has no wheel for the target" if wheels else "is a directory or a repository, not a distribution"
        raise not_lockable_error(package.name, request.requirements_source, why)
    sha256 = file.hashes.get("sha256")
    if sha256 is None:
        raise not_lockable_error(package.name, request.requirements_source, "has no sha256")
    filename = url_filename(file.url or file.path or "")
    return LockedPackage(
        name=str(canonicalize_name(package.name)),
        version=package.version or str(parse_wheel_filename(filename)[1]),
        kind="sdist" if wheel is None else "wheel",
        filename=filename,
        url=url_without_credentials(file.url or ""),
        sha256=sha256,
        size=file.size,
    )


def _best_wheel(files: list[_PylockFile], target: BundleTarget) -> _PylockFile | None:
    """Return the wheel whose tag ranks best for a target, or ``None``."""
    rank = {tag: index for index, tag in enumerate(target.tags())}
    best: tuple[int, _PylockFile] | None = None
    for file in files:
        try:
            tags = parse_wheel_filename(url_filename(file.url or file.path or ""))[3]
        except InvalidWheelFilename:
            continue
        ranks = [rank[tag] for tag in tags if tag in rank]
        if ranks and (best is None or min(ranks) < best[0]):
            best = min(ranks), file
    return None if best is None else best[1]
