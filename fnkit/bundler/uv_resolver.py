"""Resolves requirements with uv, the default backend, and translates its failures.

uv can resolve for another Python version and C library than those of this machine.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path

import msgspec
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from fnkit.bundler.lock import Lock, LockedPackage, format_lock
from fnkit.bundler.resolver import (
    Resolution,
    filename_of,
    index_environment,
    not_lockable,
    run_resolver,
    shareable_url,
)
from fnkit.bundler.target import Target
from fnkit.bundler.uv_failures import explain_failure
from fnkit.errors import BundleError

__all__ = ["newest_versions", "resolve_with_uv", "uv_program"]

_SECONDS = 600


class _File(msgspec.Struct, frozen=True, kw_only=True):
    url: str | None = None
    path: str | None = None
    size: int = 0
    hashes: dict[str, str] = {}


class _Package(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str | None = None
    wheels: list[_File] = []
    sdist: _File | None = None
    archive: _File | None = None


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    packages: list[_Package] = []


def uv_program() -> str:
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


def resolve_with_uv(question: Resolution) -> tuple[LockedPackage, ...]:
    """Resolve the requirements for their target.

    Raises:
        BundleError: Resolution failed, with a code from ``_FAILURE_PATTERNS``; ``requirement-not-lockable`` for
            directories and version control.
    """
    pylock = _compile(question, question.target.uv_platform)
    return tuple(_locked(question, package) for package in pylock.packages)


def newest_versions(question: Resolution, platform: str) -> dict[str, str]:
    """Return the versions that the requirements resolve to on another platform; empty when they do not resolve.

    Used for notes only, so failures are ignored.
    """
    try:
        pylock = _compile(question, platform)
    except BundleError:
        return {}
    return {str(canonicalize_name(one.name)): one.version for one in pylock.packages if one.version}


def _compile(question: Resolution, platform: str) -> _Answer:
    target = question.target
    with tempfile.TemporaryDirectory(prefix="fnkit-lock-") as folder:
        requirements = Path(folder, "requirements.in")
        requirements.write_text("\n".join(question.requirements) + "\n", "utf-8")
        output = Path(folder, "pylock.toml")
        if question.preferred and not question.upgrade:
            # uv keeps the versions of an existing output where they still fit.
            output.write_text(_preferences(question.preferred), "utf-8")
        command = [
            *(uv_program(), "pip", "compile", "--no-header", "--no-annotate", "--color", "never", "--no-progress"),
            # With --python, uv does not search for an interpreter of the target's minor version (0.75 → 0.12 s).
            # It runs source builds only; the resolution is for --python-version.
            *("--python", sys.executable, "--python-version", target.python_name, "--python-platform", platform),
            *("--only-binary", ":all:", "--format", "pylock.toml", "--output-file", str(output), "--quiet"),
        ]
        for name in question.source_builds:
            command += ["--no-binary", name]
        if question.upgrade:
            command.append("--upgrade")
        result = run_resolver([*command, str(requirements)], question.root, index_environment(), seconds=_SECONDS)
        if result.returncode != 0:
            raise explain_failure(result.stderr, question)
        return _decode(output)


def _decode(output: Path) -> _Answer:
    try:
        return msgspec.convert(tomllib.loads(output.read_text("utf-8")), _Answer)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BundleError(
            f"The output of uv cannot be read: {error}.",
            code="lock-failed",
            hint="Install a version of uv that this version of fnkit supports (docs/dependencies.md).",
        ) from error


def _preferences(packages: tuple[LockedPackage, ...]) -> str:
    return format_lock(Lock(path=Path(), runtime="", target="", key="", packages=packages))


def _locked(question: Resolution, package: _Package) -> LockedPackage:
    wheels = [*package.wheels, *([package.archive] if package.archive else [])]
    chosen = _best_wheel(wheels, question.target)
    if chosen is None and package.sdist is not None:
        return _entry(question, package, "sdist", package.sdist)
    if chosen is None:
        why = "has no wheel for the target" if wheels else "is a directory or a repository, not a distribution"
        raise not_lockable(package.name, question.place, why)
    return _entry(question, package, "wheel", chosen)


def _best_wheel(files: list[_File], target: Target) -> _File | None:
    """Return the wheel whose tag ranks best for a target, or ``None``."""
    rank = {tag: index for index, tag in enumerate(target.tags())}
    best: tuple[int, _File] | None = None
    for file in files:
        try:
            tags = parse_wheel_filename(filename_of(file.url or file.path or ""))[3]
        except InvalidWheelFilename:
            continue
        ranks = [rank[tag] for tag in tags if tag in rank]
        if ranks and (best is None or min(ranks) < best[0]):
            best = min(ranks), file
    return None if best is None else best[1]


def _entry(question: Resolution, package: _Package, kind: str, file: _File) -> LockedPackage:
    sha256 = file.hashes.get("sha256")
    if sha256 is None:
        raise not_lockable(package.name, question.place, "has no sha256")
    filename = filename_of(file.url or file.path or "")
    version = package.version
    if version is None:
        version = str(parse_wheel_filename(filename)[1])
    return LockedPackage(
        name=str(canonicalize_name(package.name)),
        version=version,
        kind="wheel" if kind == "wheel" else "sdist",
        filename=filename,
        url=shareable_url(file.url or ""),
        sha256=sha256,
        size=file.size,
    )
