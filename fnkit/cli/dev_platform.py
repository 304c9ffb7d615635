"""The platform of one ``fnkit dev``: its own data directory, which is thrown away, and ports that stay the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fnkit.client import Endpoint
from fnkit.deploy.loading import ProjectIdentity
from fnkit.deploy.user_cache import CacheDirectory
from fnkit.errors import PlatformError

if TYPE_CHECKING:
    from fnkit.platform.supervisor.launcher import Debugger, RunningPlatform

_START_SECONDS: Final = 60.0
_DIGITS: Final = 8


def dev_data_directory(cache: CacheDirectory, identity: ProjectIdentity) -> Path:
    """Return the data directory of the platform of a project and stage."""
    digest = hashlib.sha256(f"{identity.root}\0{identity.stage}".encode()).hexdigest()[:_DIGITS]
    return cache.dev / f"{identity.project}-{digest}"


@contextmanager
def running_dev_platform(
    data_dir: Path, *, port: int | None, brokers: Path | None, debugger: Debugger | None = None
) -> Iterator[RunningPlatform]:
    """Start an empty platform that ends with this process, and throw its data away at the end.

    Args:
        data_dir: Its data directory.
        port: The port of functions; ``None`` for that of the last session.
        brokers: A brokers file, by default that of the user's local platform.
        debugger: The debugger under which it runs one function, if any.

    Raises:
        PlatformError: ``dev-running``: there is one already. Or the platform cannot be started.
    """
    from fnkit.platform.supervisor.launcher import (
        check_operating_system,
        default_data_dir,
        ensure_running,
        find_running_platform,
        reset_platform,
        start_options,
        stop_platform,
    )

    check_operating_system()
    if (found := find_running_platform(data_dir)) is not None:
        raise PlatformError(
            f"`fnkit dev` is already running for this project, at {found.gateway_url}.",
            code="dev-running",
            hint="Stop the other one, or choose another --stage.",
        )
    reset_platform(data_dir)
    given: dict[str, object] = {"log_responses": True, "temporary": True}
    if port is not None:
        given["gateway_port"] = port
    default_brokers = default_data_dir() / "brokers.toml"
    if brokers is not None or default_brokers.is_file():
        given["brokers_file"] = str(brokers or default_brokers)
    options = start_options(
        data_dir, given, os.environ, start_timeout=_START_SECONDS, owner=os.getpid(), debugger=debugger
    )
    try:
        yield ensure_running(options)
    finally:
        stop_platform(data_dir)
        reset_platform(data_dir)


def dev_endpoint(platform: RunningPlatform, region: str) -> Endpoint:
    """Return the endpoint of a platform."""
    return Endpoint(
        api_url=platform.api_url,
        secret_key=platform.secret_key,
        project_id=platform.project_id,
        region=region,
        key_origin="the platform of fnkit dev",
    )
