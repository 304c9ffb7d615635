"""Resolves requirements with pip-tools, the second backend.

pip-tools resolves for the interpreter that runs it and no other (https://github.com/pypa/pip/issues/11010). It is
therefore run by an interpreter of the target's minor version on this machine; pip then looks up a wheel of each
pinned version for the target platform.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from fnkit.bundler.dependencies import resolver
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.resolution_failures import condense_output
from fnkit.bundler.dependencies.uv_settings import project_uv_settings
from fnkit.errors import BundleError

_TIMEOUT_SECONDS = 900
_NO_MATCH_PATTERN = re.compile(r"(?:No matching distribution found for|satisfies the requirement) ([^\s;(]+)")

_PINNED_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)


class _ArchiveInfo(msgspec.Struct, frozen=True, kw_only=True):
    hashes: dict[str, str] = {}


class _DownloadInfo(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    archive_info: _ArchiveInfo | None = None


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class _InstallItem(msgspec.Struct, frozen=True, kw_only=True):
    download_info: _DownloadInfo
    metadata: _Metadata


class _InstallReport(msgspec.Struct, frozen=True, kw_only=True):
    install: list[_InstallItem]


def resolve_with_piptools(request: resolver.ResolutionRequest) -> tuple[LockedPackage, ...]:
    """Resolve the requirements for their target.

    Raises:
        BundleError: ``no-interpreter`` without a Python of the target's minor version; ``no-wheel``;
            ``source-builds-backend``; ``pip-indexes``; ``lock-failed`` with pip's reason.
    """
    interpreter = _find_interpreter(request)
    with tempfile.TemporaryDirectory(prefix="fnkit-lock-") as folder:
        pins = _compile_pins(request, interpreter, Path(folder))
        return _find_wheels(request, pins) if pins.read_text("utf-8").strip() else ()


def names_with_piptools(request: resolver.ResolutionRequest) -> frozenset[str]:
    """Return the names of the packages that the requirements need.

    Raises:
        BundleError: As ``resolve_with_piptools``.
    """
    interpreter = _find_interpreter(request)
    with tempfile.TemporaryDirectory(prefix="fnkit-lock-") as folder:
        pins = _compile_pins(request, interpreter, Path(folder))
        return frozenset(str(canonicalize_name(name)) for name in _PINNED_NAME.findall(pins.read_text("utf-8")))


def _find_interpreter(request: resolver.ResolutionRequest) -> Path:
    """Return the interpreter that resolves for the target.

    Raises:
        BundleError: The project cannot be locked with pip-tools on this machine.
    """
    _check_indexes(request)
    if request.source_builds:
        raise BundleError(
            "The pip-tools backend supports wheels only, but the project sets source_builds.",
            code="source-builds-backend",
            hint="Lock with uv, the default backend.",
        )
    python = request.target.python
    interpreter = None if python is None else resolver.find_interpreter(python)
    if interpreter is None:
        raise BundleError(
            f"pip-tools needs Python {request.target.python_name} to resolve for it, and this machine has none.",
            code="no-interpreter",
            hint=f"Install Python {request.target.python_name}, or lock with uv, the default backend.",
        )
    return interpreter


def _check_indexes(request: resolver.ResolutionRequest) -> None:
    """Reject further indexes that are configured for uv alone: without them, pip would take public packages.

    pip cannot be given them, because it would take the highest version of all indexes.
    """
    if any(os.environ.get(name) for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")):
        return
    settings = project_uv_settings(request.root)
    in_project = [name for name in ("index", "extra-index-url") if settings.get(name)]
    in_environment = [name for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL") if os.environ.get(name)]
    if in_project or in_environment:
        raise BundleError(
            f"Further package indexes are configured for uv ({', '.join(in_environment + in_project)}), which "
            "pip-tools cannot use: pip takes the highest version of all indexes, also a stranger's.",
            code="pip-indexes",
            hint="Lock with uv, the default backend, or set PIP_INDEX_URL to an index that has every package.",
        )


def _pip_options(python_version: str, platforms: tuple[str, ...]) -> list[str]:
    """Return pip's options for another target than its own. pip accepts them only together with ``--no-deps``."""
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python_version]
    for platform in platforms:
        options += ["--platform", platform]
    return options


def _compile_pins(request: resolver.ResolutionRequest, interpreter: Path, folder: Path) -> Path:
    requirements = resolver.write_requirements(request, folder)
    pins = folder / "requirements.txt"
    if request.preferred and not request.upgrade:
        pins.write_text("".join(f"{one.name}=={one.version}\n" for one in request.preferred), "utf-8")
    command = [
        *(str(interpreter), "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--strip-extras", "--allow-unsafe", "--no-emit-index-url", "--no-emit-trusted-host"),
        *("--no-emit-find-links", "--no-emit-options", "--output-file", str(pins)),
        *(("--upgrade",) if request.upgrade else ()),
        *("--pip-args", "--only-binary=:all:", str(requirements)),
    ]
    # pip-tools and its dependencies are pure Python, so fnkit's installed copy runs under any supported minor.
    variables = {} if interpreter == Path(sys.executable) else {"PYTHONPATH": _site_packages()}
    result = resolver.run_resolver(command, folder, timeout_seconds=_TIMEOUT_SECONDS, variables=variables)
    if result.returncode != 0:
        raise _resolution_error(request, result.stderr)
    return pins


def _site_packages() -> str:
    import piptools

    return os.fspath(Path(piptools.__file__).parent.parent)


def _find_wheels(request: resolver.ResolutionRequest, pins: Path) -> tuple[LockedPackage, ...]:
    target = request.target
    command = [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"),
        *("--require-hashes", "--report", "-", "--target", str(pins.parent / "nowhere")),
        *(*_pip_options(target.python_name, target.platforms), "-r", str(pins)),
    ]
    result = resolver.run_resolver(command, pins.parent, timeout_seconds=_TIMEOUT_SECONDS)
    if result.returncode != 0:
        raise _resolution_error(request, result.stderr)
    report = msgspec.json.decode(result.stdout.encode("utf-8", "replace"), type=_InstallReport)
    return tuple(sorted((_locked_package(request, item) for item in report.install), key=lambda one: one.name))


def _locked_package(request: resolver.ResolutionRequest, item: _InstallItem) -> LockedPackage:
    archive = item.download_info.archive_info
    sha256 = None if archive is None else archive.hashes.get("sha256")
    if sha256 is None:
        raise resolver.not_lockable_error(item.metadata.name, request.requirements_source, "comes without a sha256")
    return LockedPackage(
        name=str(canonicalize_name(item.metadata.name)),
        version=item.metadata.version,
        kind="wheel",
        filename=resolver.url_filename(item.download_info.url),
        url=resolver.url_without_credentials(item.download_info.url),
        sha256=sha256,
    )


def _resolution_error(request: resolver.ResolutionRequest, stderr: str) -> BundleError:
    match = _NO_MATCH_PATTERN.search(stderr)
    if match is not None:
        return BundleError(
            f"{match[1]}, required by {request.requirements_source}, does not exist or has no wheel for "
            f"Python {request.target.python_name} on {request.target.platform}.",
            code="no-wheel",
            hint="Check the spelling, or choose another version or package.",
            file=request.requirements_file,
        )
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return BundleError(
        f"pip-tools could not resolve {request.requirements_source}: "
        f"{condense_output(chr(10).join(lines[-3:]) or stderr[-500:])}.",
        code="lock-failed",
        hint="Try uv, the default backend; its messages are often more specific.",
        file=request.requirements_file,
    )
