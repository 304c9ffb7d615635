"""Redeploys the previous version of a function whose deploy failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import UpdateFunction
from fnkit.contract.resources import Function
from fnkit.deploy.archives import upload_archive
from fnkit.deploy.pacing import AdaptiveLimiter, DeployInterrupted
from fnkit.deploy.waiting import wait_for_function
from fnkit.errors import FnkitError

__all__ = ["rollback"]


def rollback(
    api: FunctionsApi, limiter: AdaptiveLimiter, live: Function, archive: Path, on_step: Callable[[str], None]
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
    on_step("restoring the previous version")
    try:
        upload_archive(api, live.id, archive, limiter)
        body = _previous_settings(live)
        updated = limiter.call(lambda: api.functions.update(live.id, body), idempotent=True)
        restored = wait_for_function(api, updated, limiter, on_step)
    except DeployInterrupted:
        raise
    except FnkitError:
        return None
    return restored if restored.status == Status.READY else None


def _previous_settings(live: Function) -> UpdateFunction:
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
