"""Checks of what the project is deployed to: Scaleway's API with its credentials, or the local platform."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fnkit.cli.checks.machine import check_disk
from fnkit.cli.checks.model import Check
from fnkit.errors import ApiError, FnkitError

if TYPE_CHECKING:
    from fnkit.cli.options import ApiOptions, CommonOptions
    from fnkit.client import Endpoint
    from fnkit.project import Project

_CLOCK_TOLERANCE: Final = 120.0
"""Seconds. Signed URLs, certificates and tokens are judged by the clocks of two machines."""
_RESPONSE_SECONDS: Final = 15.0


def check_api(common: CommonOptions, api: ApiOptions) -> Iterator[Check]:
    """Yield the checks of the credentials and of the API that they are for."""
    from fnkit.client import EndpointOverrides, resolve_endpoint

    overrides = EndpointOverrides(
        project_id=api.project_id, region=api.region, profile=api.profile, api_url=api.api_url
    )
    try:
        endpoint = resolve_endpoint(overrides, os.environ, project_region=_project_region(common))
    except FnkitError as error:
        yield Check(
            name="credentials",
            ok=False,
            detail=error.message,
            hint=f"{error.hint or ''} Only deploys to Scaleway need them.".strip(),
            is_needed=error.code != "no-credentials",
        )
        return
    where = f"project {endpoint.project_id} in {endpoint.region}"
    yield Check(name="credentials", ok=True, detail=f"from {endpoint.key_origin}, for {where}")
    yield from _check_endpoint(endpoint)


def _project_region(common: CommonOptions) -> str | None:
    from fnkit.deploy.loading import load_identity

    try:
        return load_identity(common.directory, stage=common.stage).region
    except FnkitError:
        return None


def check_local_platform(common: CommonOptions, project: Project | None, *, start: bool) -> Iterator[Check]:
    """Yield the checks of the local platform.

    Args:
        common: The common options.
        project: The project, if there is a valid one.
        start: Whether the platform is needed: it is started if it is not running.
    """
    from fnkit.platform.supervisor.launcher import ensure_running, platform_status

    name = "local platform"
    try:
        if start:
            with common.output.progress("Starting the local platform"):
                ensure_running()
        status = platform_status()
    except FnkitError as error:
        yield Check(name=name, ok=False, detail=error.message, hint=error.hint, is_needed=start)
        return
    yield check_disk("data", status.data_dir)
    if not status.is_running:
        yield Check(name=name, ok=True, detail="not running; --local starts it")
    else:
        yield Check(
            name=name,
            ok=status.is_healthy,
            detail=f"{'running' if status.is_healthy else 'unhealthy'}, API at {status.api_url}",
            hint="`fnkit platform logs` shows why.",
            is_needed=True,
        )
        yield Check(
            name="isolation",
            ok=status.isolation != "none",
            detail=f"level {status.isolation}",
            hint="docs/isolation.md says what each level enforces, and what it needs.",
        )
    triggers = [trigger for one in project.functions for trigger in one.triggers] if project is not None else []
    if any(trigger.kind == "nats" for trigger in triggers):
        reason = status.nats_unavailable_reason
        yield Check(
            name="NATS",
            ok=not reason,
            detail=f"the built-in server is {reason}" if reason else "built-in server",
            hint="Or name a server in brokers.toml (docs/triggers.md). Without one, NATS triggers stay idle.",
        )
    if any(trigger.kind == "sqs" for trigger in triggers):
        reason = status.sqs_unavailable_reason
        yield Check(
            name="SQS",
            ok=not reason,
            detail=f"the built-in endpoint is {reason}" if reason else "built-in endpoint",
            hint="Or name a service in brokers.toml (docs/triggers.md). Without one, SQS triggers stay idle.",
        )
    for trigger in status.triggers:
        if trigger.state != "listening":
            yield Check(
                name=f"trigger {trigger.name}", ok=False, detail=trigger.words, hint="See docs/triggers.md."
            )


def _check_endpoint(endpoint: Endpoint) -> Iterator[Check]:
    from fnkit.client.transport import Transport

    transport = Transport(endpoint, response_seconds=_RESPONSE_SECONDS)
    path = f"/functions/v1beta1/regions/{endpoint.region}/namespaces"
    query = {"project_id": endpoint.project_id, "page_size": "1"}
    started = time.monotonic()
    try:
        response = transport.exchange("GET", path, query, None)
    except ApiError as error:
        yield Check(name="API", ok=False, detail=error.message, hint=error.hint, is_needed=True)
        return
    finally:
        transport.close()
    took = (time.monotonic() - started) * 1000
    if response.status != HTTPStatus.OK:
        yield Check(
            name="API",
            ok=False,
            detail=f"{endpoint.api_url} answers {response.status} to the key from {endpoint.key_origin}",
            hint="Save another key with `fnkit login`, or check its permissions and the project.",
            is_needed=True,
        )
    else:
        yield Check(name="API", ok=True, detail=f"{endpoint.api_url} accepts the key ({took:.0f} ms)")
    yield from check_clock(response.date, time.time())


def check_clock(date: str, now: float) -> Iterator[Check]:
    """Yield the check of this machine's clock.

    Args:
        date: The ``Date`` of a response; nothing is checked if it is not a date.
        now: Unix seconds on this machine.
    """
    try:
        difference = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    near = abs(difference) <= _CLOCK_TOLERANCE
    direction = "ahead of" if difference > 0 else "behind"
    yield Check(
        name="clock",
        ok=near,
        detail="agrees with the API's" if near else f"{abs(difference):.0f} s {direction} the API's",
        hint="Set this machine's clock, for example with NTP: signed URLs and certificates depend on it.",
    )
