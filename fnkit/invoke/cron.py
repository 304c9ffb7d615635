"""Runs a cron on a platform whose API cannot: sends the cron's request to its function.

Scaleway's API has no operation that runs a cron; the local platform has one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from fnkit.client import FunctionsApi
from fnkit.contract.deliveries import DeliveryAttempt, DeliveryView
from fnkit.contract.resources import Cron, Function
from fnkit.invoke.authorization import temporary_credentials
from fnkit.invoke.cron_request import cron_request
from fnkit.invoke.remote import invoke_remote

_FIRST_FAILURE_STATUS: Final = 300
_MAX_QUOTED_BYTES: Final = 300  # bytes of the body of a failed response that the error message quotes


def invoke_as_cron(api: FunctionsApi, cron: Cron, function: Function, request_id: str = "") -> DeliveryView:
    """POST the arguments of a cron to its function, with a temporary token if the function is private.

    Args:
        api: The API of the platform that runs the function.
        cron: The cron.
        function: Its function.
        request_id: The ``X-Request-Id``, which finds what the function logged; empty for none.

    Returns:
        A delivery with one attempt, in the form of the local platform's delivery log. Its ID is empty, since
        no log keeps it.

    Raises:
        ApiError: The token could not be created or deleted.
        InvokeError: The function did not respond.
    """
    request = cron_request(cron.args)
    body = request.body
    with temporary_credentials(api, function, "fnkit cron run") as credentials:
        now = datetime.now(UTC)
        identity = (("X-Request-Id", request_id),) if request_id else ()
        request = replace(request, headers=(*request.headers, *identity, *credentials))
        result = invoke_remote(api.platform_info(), function, request)
    response = result.response
    succeeded = response.status < _FIRST_FAILURE_STATUS
    body_text = response.body[:_MAX_QUOTED_BYTES].decode("utf-8", "replace")
    error = "" if succeeded else f"HTTP {response.status}: {body_text}"
    return DeliveryView(
        id="",
        kind="cron",
        name=cron.name or cron.id,
        function=function.name,
        at=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        attempts=1,
        status="succeeded" if succeeded else "failed",
        http_status=response.status,
        duration_ms=result.duration_ms,
        error=error,
        cause="fire",
        message_id=None,
        body=body.decode(),
        is_base64=False,
        is_truncated=False,
        body_size=len(body),
        replay_of=None,
        replayed_by=None,
        lag_ms=None,
        tries=(DeliveryAttempt(http_status=response.status, duration_ms=result.duration_ms, error=error),),
    )
