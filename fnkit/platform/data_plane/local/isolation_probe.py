"""Finds the strongest isolation level that works here, by starting an instance under each."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.interface import DeployResult
from fnkit.platform.data_plane.local.engine import LocalEngine
from fnkit.platform.data_plane.local.source import LocalEngineSettings
from fnkit.platform.data_plane.workers.isolation import Level, candidate_levels
from fnkit.platform.data_plane.workers.zygote import Storage
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import LocalProgram, Route

_PROBE_TIMEOUT: Final = 20.0
_PROBE_HANDLER: Final = "def handle(event, context):\n    return ''\n"
_log = logging.getLogger(__name__)


def _probe_route(code: Path) -> Route:
    return Route(
        function_id="isolation-probe",
        generation=1,
        name="isolation-probe",
        namespace_id="",
        region="",
        project_id="",
        hosts=(),
        path_prefix="",
        runtime="python",
        language="Python",
        program=LocalProgram(interpreter=sys.executable, code_dir=str(code)),
        handler="handler.handle",
        memory=128,
        cpu=70,
        timeout=10.0,
        min_scale=0,
        max_scale=1,
        privacy="public",
        http_option="enabled",
        sandbox="v2",
        environment={},
    )


async def _try_level(settings: LocalEngineSettings, code: Path) -> Storage | str:
    """Start an instance at this level. Return where it can write to, or why it could not be started."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[DeployResult] = loop.create_future()

    def on_done(outcome: DeployResult) -> None:
        if not result.done():
            result.set_result(outcome)

    try:
        engine = LocalEngine(settings, SyncedClock(), lambda _route, _reason: None)
    except OSError as error:
        return str(error)
    try:
        engine.deploy(_probe_route(code), on_done)
        async with asyncio.timeout(_PROBE_TIMEOUT):
            return (await result).failure or engine.storage
    except TimeoutError:
        return f"no instance started within {_PROBE_TIMEOUT:g} s"
    finally:
        engine.close()


async def best_level(wanted: str, runtime_directory: Path, disks_directory: Path) -> tuple[Level, Storage]:
    """Return the strongest level that works, and where its instances can write to.

    Args:
        wanted: A level by name; ``auto`` or empty for the strongest.
        runtime_directory: Where the probes may create files.
        disks_directory: Where instances keep their files.

    Raises:
        PlatformError: No level works that hides the platform's data, or there is no such level.
    """
    try:
        levels = candidate_levels(wanted, is_root=os.geteuid() == 0)
    except ValueError:
        names = ", ".join(level.value for level in Level)
        raise PlatformError(
            f"Unknown isolation level {wanted!r}.", code="isolation-unknown", hint=f"Choose auto, {names}."
        ) from None
    if sys.platform != "linux":
        levels = (Level.NONE,)
    reasons = []
    with tempfile.TemporaryDirectory(dir=runtime_directory, prefix="probe-") as directory:
        code = Path(directory) / "code"
        code.mkdir(mode=0o755)
        (code / "handler.py").write_text(_PROBE_HANDLER)
        (code / "handler.py").chmod(0o644)
        settings = LocalEngineSettings(
            level=Level.NONE,
            runtime_directory=Path(directory),
            logs_directory=Path(directory) / "logs",
            code_directory=Path(directory),
            disks_directory=disks_directory,
            prewarmed=0,
        )
        for level in levels:
            outcome = await _try_level(replace(settings, level=level), code)
            if isinstance(outcome, Storage):
                return level, outcome
            _log.warning("isolation level %s is not available: %s", level.value, outcome)
            reasons.append(f"{level.value}: {outcome}")
    raise PlatformError(
        f"No isolation level that protects the platform's data works on this machine ({'; '.join(reasons)}).",
        code="isolation-unavailable",
        hint="Allow user namespaces or landlock, or accept the risk with isolation `none`.",
    )
