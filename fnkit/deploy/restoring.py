"""Redeploys the previous version of a function whose deploy failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import UpdateFunction
from fnkit.contract.resources import Function
from fnkit.deploy.archives import send_archive
from fnkit.deploy.pacing import Pace, Stopped
from fnkit.deploy.waiting import until_function_settled
from fnkit.errors import FnkitError

__all__ = ["restore"]


def restore(
    api: FunctionsApi, pace: Pace, live: Function, archive: Path, tell: Callable[[str], None]
) -> Function | None:
    """Redeploy ``live`` as it was observed, from ``archive``.

    After a failed deploy Scaleway keeps the old version serving for 24 hours and then removes both versions.
    Secrets keep their new values, because the API does not return the old ones. The function gets its old digest
    back, so that the next plan deploys the change again.

    Returns:
        The function; ``None`` when this deploy failed too.

    Raises:
        DeployInterrupted: The deploy was interrupted.
    """
    tell("restoring the previous version")
    try:
        send_archive(api, live.id, archive, pace)
        body = _as_it_was(live)
        updated = pace.ask(lambda: api.functions.update(live.id, body), repeatable=True)
        restored = until_function_settled(api, updated, pace, tell)
    except Stopped:
        raise
    except FnkitError:
        return None
    return restored if restored.status == Status.READY else None


def _as_it_was(live: Function) -> UpdateFunction:
    return UpdateFunction(
        environment_variables=live.environment_variables,
        min_scale=live.min_scale,
        max_scale=live.max_scale,
        runtime=live.runtime,
        memory_limit=live.memory_limit,
        timeout=live.timeout,
        redeploy=True,
        handler=live.handler,
        privacy=live.privacy,
        description=live.description or "",
        http_option=live.http_option,
        sandbox=live.sandbox,
        tags=live.tags,
        private_network_id=live.private_network_id or "",
    )
