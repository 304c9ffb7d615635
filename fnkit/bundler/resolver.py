"""The common part of the resolver backends: request, subprocess, environment and URLs, and interpreter lookup.

The backends are uv (the default) and pip-tools.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from fnkit.bundler.lock import LockedPackage
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError

__all__ = [
    "ResolutionRequest",
    "url_filename",
    "index_environment",
    "not_lockable_error",
    "run_resolver",
    "url_without_credentials",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionRequest:
    """Requirements to resolve for one target.

    Attributes:
        root: The project's directory, whose own index settings apply.
        requirements: PEP 508 lines.
        requirements_file: File that contains them, for messages.
        preferred: Versions to keep where they still fit.
        source_builds: Names of packages that may be built from source.
        upgrade: Select the newest versions and ignore ``preferred``.
    """

    root: Path
    target: BundleTarget
    requirements: tuple[str, ...]
    requirements_file: str | None
    preferred: tuple[LockedPackage, ...]
    source_builds: tuple[str, ...]
    upgrade: bool

    @property
    def requirements_source(self) -> str:
        """The source of the requirements, for messages."""
        return self.requirements_file or "the project's requirements"


def url_without_credentials(url: str) -> str | None:
    """Return a URL without credentials, for a committed file; ``None`` for a path of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def url_filename(url: str) -> str:
    """Return the last path component of a URL."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def index_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for uv and pip, with the index and certificate settings of each applied to the other.

    A machine that uses a package mirror is usually configured for one of the two only. uv never downloads Python
    interpreters and pip never prompts.
    """
    variables = dict(os.environ if environment is None else environment)
    for pip_name, uv_names in (
        ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL")),
        ("REQUESTS_CA_BUNDLE", ("SSL_CERT_FILE",)),
    ):
        uv_values = [variables[name] for name in uv_names if variables.get(name)]
        if variables.get(pip_name) and not uv_values:
            variables[uv_names[0]] = variables[pip_name]
        elif uv_values and not variables.get(pip_name):
            variables[pip_name] = uv_values[0]
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


def run_resolver(
    command: list[str], root: Path, environment: dict[str, str], *, timeout_seconds: int
) -> subprocess.CompletedProcess[str]:
    """Run a resolver in the project's directory without a terminal to prompt on.

    Raises:
        BundleError: ``lock-timeout``.
    """
    try:
        return subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"Resolving the requirements took longer than {timeout_seconds // 60} minutes.",
            code="lock-timeout",
            hint="Check the connection to the package index, then try again.",
        ) from error
