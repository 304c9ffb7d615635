"""Finds the best isolation that this machine really gives, by starting an instance under it (decision 34)."""

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
from fnkit.platform.engine.clock import VirtualClock
from fnkit.platform.engine.contract import Outcome
from fnkit.platform.engine.isolation import Level, candidates
from fnkit.platform.engine.local import EngineSettings, LocalEngine
from fnkit.platform.routing import Route

__all__ = ["best_level"]

_SECONDS: Final = 20.0
_HANDLER: Final = "def handle(event, context):\n    return ''\n"
_log = logging.getLogger(__name__)


def _route(code: Path) -> Route:
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
        interpreter=sys.executable,
        code=str(code),
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


async def _try(settings: EngineSettings, code: Path) -> str | None:
    """Return why an instance could not be started under this level, ``None`` when it could."""
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[Outcome] = loop.create_future()

    def settle(outcome: Outcome) -> None:
        if not settled.done():
            settled.set_result(outcome)

    try:
        engine = LocalEngine(settings, VirtualClock(), lambda _route, _reason: None)
    except OSError as error:
        return str(error)
    try:
        engine.deploy(_route(code), settle)
        async with asyncio.timeout(_SECONDS):
            return (await settled).failure
    except TimeoutError:
        return f"no instance started within {_SECONDS:g} s"
    finally:
        engine.close()


async def best_level(wanted: str, runtime_folder: Path) -> Level:
    """Return the best level that works. ``PlatformError`` when none does that hides the data folder."""
    try:
        levels = candidates(wanted, is_root=os.geteuid() == 0)
    except ValueError:
        names = ", ".join(level.value for level in Level)
        raise PlatformError(
            f"There is no isolation level {wanted!r}.", code="isolation-unknown", hint=f"Choose auto, {names}."
        ) from None
    if sys.platform != "linux":
        levels = (Level.NONE,)
    reasons = []
    with tempfile.TemporaryDirectory(dir=runtime_folder, prefix="probe-") as folder:
        code = Path(folder) / "code"
        code.mkdir(mode=0o755)
        (code / "handler.py").write_text(_HANDLER)
        (code / "handler.py").chmod(0o644)
        settings = EngineSettings(
            level=Level.NONE, runtime_folder=Path(folder), logs_folder=Path(folder) / "logs", blanks=0
        )
        for level in levels:
            failure = await _try(replace(settings, level=level), code)
            if failure is None:
                return level
            _log.warning("isolation level %s is not available: %s", level.value, failure)
            reasons.append(f"{level.value}: {failure}")
    raise PlatformError(
        f"This machine gives no isolation that hides the platform's data from functions ({'; '.join(reasons)}).",
        code="isolation-unavailable",
        hint="Allow user namespaces or landlock, or accept the risk with isolation `none`.",
    )
