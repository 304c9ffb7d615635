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

from fnkit.bundler.interpreters import find_interpreter
from fnkit.bundler.lock import LockedPackage
from fnkit.bundler.resolver import (
    Resolution,
    filename_of,
    index_environment,
    not_lockable,
    run_resolver,
    shareable_url,
)
from fnkit.bundler.uv_failures import condensed
from fnkit.errors import BundleError

__all__ = ["pip_options", "resolve_with_piptools"]

_SECONDS = 900
_NO_MATCH = re.compile(r"(?:No matching distribution found for|satisfies the requirement) ([^\s;(]+)")


class _Archive(msgspec.Struct, frozen=True, kw_only=True):
    hashes: dict[str, str] = {}


class _Download(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    archive_info: _Archive | None = None


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    download_info: _Download
    metadata: _Metadata


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    install: list[_Item]


def resolve_with_piptools(question: Resolution) -> tuple[LockedPackage, ...]:
    """Resolve the requirements for their target.

    Raises:
        BundleError: ``no-interpreter`` without a Python of the target's minor version; ``no-wheel``;
            ``source-builds-backend``; ``lock-failed`` with pip's reason.
    """
    if question.source_builds:
        raise BundleError(
            "The pip-tools backend supports wheels only, but the project sets source-builds.",
            code="source-builds-backend",
            hint="Lock with uv, the default backend.",
        )
    python = question.target.python
    interpreter = None if python is None else find_interpreter(python)
    if interpreter is None:
        raise BundleError(
            f"pip-tools needs Python {question.target.python_name} to resolve for it, and this machine has none.",
            code="no-interpreter",
            hint=f"Install Python {question.target.python_name}, or lock with uv, the default backend.",
        )
    with tempfile.TemporaryDirectory(prefix="fnkit-lock-") as folder:
        pins = _compile(question, interpreter, Path(folder))
        return _wheels_of(question, pins) if pins.read_text("utf-8").strip() else ()


def pip_options(question_target_python: str, platforms: tuple[str, ...]) -> list[str]:
    """Return pip's options for another target than its own. pip accepts them only together with ``--no-deps``."""
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", question_target_python]
    for platform in platforms:
        options += ["--platform", platform]
    return options


def _compile(question: Resolution, interpreter: Path, folder: Path) -> Path:
    requirements = folder / "requirements.in"
    requirements.write_text("\n".join(question.requirements) + "\n", "utf-8")
    pins = folder / "requirements.txt"
    if question.preferred and not question.upgrade:
        pins.write_text("".join(f"{one.name}=={one.version}\n" for one in question.preferred), "utf-8")
    command = [
        *(str(interpreter), "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--strip-extras", "--allow-unsafe", "--no-emit-index-url", "--no-emit-trusted-host"),
        *("--no-emit-find-links", "--no-emit-options", "--output-file", str(pins)),
        *(("--upgrade",) if question.upgrade else ()),
        *("--pip-args", "--only-binary=:all:", str(requirements)),
    ]
    environment = index_environment()
    if interpreter != Path(sys.executable):
        # pip-tools and its dependencies are pure Python, so fnkit's installed copy runs under any supported minor.
        environment["PYTHONPATH"] = _site_packages()
    result = run_resolver(command, question.root, environment, seconds=_SECONDS)
    if result.returncode != 0:
        raise _failed(question, result.stderr)
    return pins


def _site_packages() -> str:
    import piptools

    return os.fspath(Path(piptools.__file__).parent.parent)


def _wheels_of(question: Resolution, pins: Path) -> tuple[LockedPackage, ...]:
    target = question.target
    command = [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"),
        *("--require-hashes", "--report", "-", "--target", str(pins.parent / "nowhere")),
        *(*pip_options(target.python_name, target.platforms), "-r", str(pins)),
    ]
    result = run_resolver(command, question.root, index_environment(), seconds=_SECONDS)
    if result.returncode != 0:
        raise _failed(question, result.stderr)
    report = msgspec.json.decode(result.stdout.encode("utf-8", "replace"), type=_Report)
    return tuple(sorted((_locked(question, item) for item in report.install), key=lambda one: one.name))


def _locked(question: Resolution, item: _Item) -> LockedPackage:
    archive = item.download_info.archive_info
    sha256 = None if archive is None else archive.hashes.get("sha256")
    if sha256 is None:
        raise not_lockable(item.metadata.name, question.place, "comes without a sha256")
    return LockedPackage(
        name=str(canonicalize_name(item.metadata.name)),
        version=item.metadata.version,
        kind="wheel",
        filename=filename_of(item.download_info.url),
        url=shareable_url(item.download_info.url),
        sha256=sha256,
    )


def _failed(question: Resolution, stderr: str) -> BundleError:
    match = _NO_MATCH.search(stderr)
    if match is not None:
        return BundleError(
            f"{match[1]}, required by {question.place}, does not exist or has no wheel for "
            f"Python {question.target.python_name} on {question.target.platform}.",
            code="no-wheel",
            hint="Check the spelling, or choose another version or package.",
            file=question.requirements_file,
        )
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return BundleError(
        f"pip-tools could not resolve {question.place}: {condensed(chr(10).join(lines[-3:]) or stderr[-500:])}.",
        code="lock-failed",
        hint="Try uv, the default backend; its messages are often more specific.",
        file=question.requirements_file,
    )
