"""What a resolver is asked and what it answers; the two backends are ``uv_resolver`` and ``piptools_resolver``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from fnkit.bundler.lock import LockedPackage
from fnkit.bundler.target import Target
from fnkit.errors import BundleError

__all__ = ["Resolution", "filename_of", "index_environment", "not_lockable", "run_resolver", "shareable_url"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One question.

    root: the project, whose own index settings hold. requirements: PEP 508 lines. requirements_file: where they
    stand, for messages. preferred: versions to keep where they still fit. source_builds: names that may be
    built from source. upgrade: newest versions whatever is preferred.
    """

    root: Path
    target: Target
    requirements: tuple[str, ...]
    requirements_file: str | None
    preferred: tuple[LockedPackage, ...]
    source_builds: tuple[str, ...]
    upgrade: bool

    @property
    def place(self) -> str:
        """Where the requirements stand, for messages."""
        return self.requirements_file or "the project's requirements"


def shareable_url(url: str) -> str | None:
    """Return a URL fit for a file that is committed: no credentials; ``None`` for a path of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def filename_of(url: str) -> str:
    """Return the file's name that a URL or path ends with."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1]


def index_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for uv and pip, each told what the other was told of indexes and certificates.

    A machine that reaches its packages through a mirror is usually set up for one of the two only.
    """
    known = dict(os.environ if environment is None else environment)
    for theirs, ours in (
        ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL")),
        ("REQUESTS_CA_BUNDLE", ("SSL_CERT_FILE",)),
    ):
        given = [known[name] for name in ours if known.get(name)]
        if known.get(theirs) and not given:
            known[ours[0]] = known[theirs]
        elif given and not known.get(theirs):
            known[theirs] = given[0]
    known["UV_PYTHON_DOWNLOADS"] = "never"
    known["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    known["PIP_NO_INPUT"] = "1"
    return known


def not_lockable(name: str, place: str, why: str) -> BundleError:
    """Return the error for a requirement that no archive can be made of."""
    return BundleError(
        f"{name} in {place} {why}, so it cannot be locked.",
        code="requirement-not-lockable",
        hint="Name a version from an index or the URL of a wheel; code of your own belongs into the project.",
    )


def run_resolver(
    command: list[str], root: Path, environment: dict[str, str], *, seconds: int
) -> subprocess.CompletedProcess[str]:
    """Run a resolver in the project's folder, with nobody to ask.

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
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"Resolving the requirements took longer than {seconds // 60} minutes.",
            code="lock-timeout",
            hint="Check the connection to the package index, then try again.",
        ) from error
