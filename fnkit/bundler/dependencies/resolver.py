"""The common part of the resolver backends: request, subprocess, environment and URLs, and interpreter lookup.

The backends are uv (the default) and pip-tools.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from fnkit.bundler.builds.environment import build_environment
from fnkit.bundler.dependencies.certificates import system_certificates
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import SourceLocation
from fnkit.project.package_sources import PackageIndexes, PackageSource, select_indexes

_VERSION_SCRIPT = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
_PROBE_TIMEOUT_SECONDS = 10
_UV_CERTIFICATES: Final = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "SSL_CERT_FILE")


@functools.cache
def find_interpreter(python: tuple[int, int]) -> Path | None:
    """Return a CPython of that minor version, or ``None``.

    Search order: the running interpreter, ``pythonX.Y`` on PATH, pyenv's versions, uv's. Each candidate is run to
    check its version, because pyenv's shims exist for versions that are not active. The result is cached for the
    process.
    """
    if sys.implementation.name == "cpython" and sys.version_info[:2] == python:
        return Path(sys.executable)
    for candidate in _candidate_interpreters(python):
        if _has_version(candidate, python):
            return candidate
    return None


def _candidate_interpreters(python: tuple[int, int]) -> Iterator[Path]:
    name = f"python{python[0]}.{python[1]}"
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder, pattern in (
        (pyenv / "versions", f"{python[0]}.{python[1]}*"),
        (uv, f"cpython-{python[0]}.{python[1]}.*"),
    ):
        for version in sorted(folder.glob(pattern), reverse=True):
            for relative in (f"bin/{name}", "python.exe"):
                if (version / relative).is_file():
                    yield version / relative


def _has_version(candidate: Path, python: tuple[int, int]) -> bool:
    try:
        result = subprocess.run(
            [os.fspath(candidate), "-I", "-S", "-c", _VERSION_SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return result.stdout.split() == ["cpython", str(python[0]), str(python[1])]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionRequest:
    """Requirements to resolve for one target.

    Attributes:
        root: The project's directory, whose own settings of indexes and versions apply.
        requirements: PEP 508 lines.
        requirement_sources: Where each of them stands, for messages; empty if unknown.
        requirements_file: File that contains them, for messages.
        preferred: Versions to keep where they still fit.
        source_builds: Names of packages that may be built from source.
        upgrade: Select the newest versions and ignore ``preferred``.
        constraints: Packages that must have exactly these versions if they are needed.
        package_sources: Where packages are taken from, by their normalized names.
    """

    root: Path
    target: BundleTarget
    requirements: tuple[str, ...]
    requirement_sources: tuple[SourceLocation, ...] = ()
    requirements_file: str | None
    preferred: tuple[LockedPackage, ...]
    source_builds: tuple[str, ...]
    upgrade: bool
    constraints: tuple[LockedPackage, ...] = ()
    package_sources: Mapping[str, PackageSource] = field(default_factory=dict)

    @property
    def requirements_source(self) -> str:
        """The source of the requirements, for messages."""
        return self.requirements_file or "the project's requirements"

    @property
    def package_indexes(self) -> PackageIndexes:
        """The indexes of the required packages that are taken from certain indexes."""
        return select_indexes(self.requirements, self.package_sources)


def write_requirements(request: ResolutionRequest, folder: Path) -> Path:
    """Write the requirements, and the constraints beside them, and return the path of the file to resolve."""
    lines = list(request.requirements)
    if request.constraints:
        constraints = folder / "constraints.txt"
        pins = (f"{one.name}=={one.version}\n" for one in request.constraints)
        constraints.write_text("".join(pins), "utf-8")
        lines.append(f"-c {constraints.name}")
    path = folder / "requirements.in"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def url_without_credentials(url: str) -> str | None:
    """Return a URL without credentials, for a committed file; ``None`` for a path of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def url_filename(url: str) -> str:
    """Return the last path component of a URL."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def _index_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for uv and pip, with the index and certificate settings of each applied to the other.

    A machine that uses a package mirror is usually configured for one of the two only. As pip does, uv trusts the
    certificates of the system, which has those of a company's proxy. uv never downloads Python interpreters and pip
    never prompts.

    Further indexes of uv are not given to pip: uv takes a package from the first index that has it, while pip takes
    the highest version of all of them, so that anybody could publish a private package's name with a higher one.
    """
    variables = dict(environ)
    for pip_name, uv_names in (
        ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("REQUESTS_CA_BUNDLE", ("SSL_CERT_FILE",)),
        ("PIP_CERT", ("SSL_CERT_FILE",)),
    ):
        uv_values = [variables[name] for name in uv_names if variables.get(name)]
        if variables.get(pip_name) and not uv_values:
            variables[uv_names[0]] = variables[pip_name]
        elif uv_values and not variables.get(pip_name):
            variables[pip_name] = uv_values[0]
    further = variables.get("PIP_EXTRA_INDEX_URL")
    if further and not variables.get("UV_INDEX") and not variables.get("UV_EXTRA_INDEX_URL"):
        variables["UV_INDEX"] = further
    if not any(variables.get(name) for name in _UV_CERTIFICATES) and system_certificates() is not None:
        variables |= {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}  # the older name, for older versions
    variables["UV_PYTHON_DOWNLOADS"] = "never"
    variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    variables["PIP_NO_INPUT"] = "1"
    return variables


def not_lockable_error(name: str, requirements_source: str, reason: str) -> BundleError:
    """Return the error for a requirement that cannot be locked to a file."""
    return BundleError(
        f"{name} in {requirements_source} {reason}, so it cannot be locked.",
        code="requirement-not-lockable",
        hint="Require a version from an index or the URL of a wheel; put your own code into the project.",
    )


def run_tool(
    command: list[str],
    folder: Path,
    *,
    timeout_seconds: int,
    runs_builds: bool = False,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run uv or pip without a terminal to prompt on, and capture its output.

    Args:
        command: The command.
        folder: A temporary directory to run in. In the project, ``python -m pip`` would import a ``pip.py`` of it,
            and uv would read its settings.
        timeout_seconds: After this time it is stopped.
        runs_builds: Whether it may run code of packages, which must not see the keys in the environment.
        variables: Further environment variables, which override others.

    Raises:
        subprocess.TimeoutExpired: It took too long.
    """
    environ = build_environment(os.environ) if runs_builds else os.environ
    return subprocess.run(
        command,
        cwd=folder,
        env=_index_environment(environ) | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        check=False,
    )


def run_resolver(
    command: list[str],
    folder: Path,
    *,
    timeout_seconds: int,
    runs_builds: bool = False,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a resolver. The arguments are those of ``run_tool``.

    Raises:
        BundleError: ``lock-timeout``.
    """
    try:
        return run_tool(
            command, folder, timeout_seconds=timeout_seconds, runs_builds=runs_builds, variables=variables
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"Resolving the requirements took longer than {timeout_seconds // 60} minutes.",
            code="lock-timeout",
            hint="Check the connection to the package index, then try again.",
        ) from error
