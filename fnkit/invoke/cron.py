"""Runs a cron on a platform whose API cannot: sends the cron's request to its function.

Scaleway's API has no operation that runs a cron; the local platform has one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from fnkit.client import FunctionsApi
from fnkit.contract.deliveries import DeliveryAttempt, DeliveryView
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateToken
from fnkit.contract.resources import Cron, Function, Token
from fnkit.invoke.model import InvocationRequest
from fnkit.invoke.remote import invoke_remote

_TOKEN_LIFETIME: Final = timedelta(hours=1)  # generous, since clocks may differ; the token is deleted after use
_TOKEN_READY_TIMEOUT: Final = 30.0  # seconds for a new token to become ready
_POLL_SECONDS: Final = 0.5
_FIRST_FAILURE_STATUS: Final = 300
_MAX_QUOTED_BYTES: Final = 300  # bytes of the body of a failed response that the error message quotes


def invoke_as_cron(api: FunctionsApi, cron: Cron, function: Function) -> DeliveryView:
    """POST the arguments of a cron to its function, with a temporary token if the function is private.

    Args:
        api: The API of the platform that runs the function.
        cron: The cron.
        function: Its function.

    Returns:
        A delivery with one attempt, in the form of the local platform's delivery log. Its ID is empty, since
        no log keeps it.

    Raises:
        ApiError: The token could not be created or deleted.
        InvokeError: The function did not respond.
    """
    body = msgspec.json.encode(cron.args)
    with _auth_headers(api, function) as credentials:
        now = datetime.now(UTC)
        headers = (("Content-Type", "application/json"), *credentials)
        request = InvocationRequest(method="POST", target="/", headers=headers, body=body)
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


@contextmanager
def _auth_headers(api: FunctionsApi, function: Function) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield the headers that authorize a call of the function.

    A private function accepts the account's secret key too, but the headers reach the function's code. A
    token gives that code access to nothing but this function.
    """
    if function.privacy != "private":
        yield ()
        return
    expires_at = (datetime.now(UTC) + _TOKEN_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    request = CreateToken(function_id=function.id, description="fnkit cron run", expires_at=expires_at)
    token = api.tokens.create(request)
    try:
        _wait_until_token_ready(api, token)
        yield (("X-Auth-Token", token.token),)
    finally:
        api.tokens.delete(token.id)


def _wait_until_token_ready(api: FunctionsApi, token: Token) -> None:
    deadline = time.monotonic() + _TOKEN_READY_TIMEOUT
    while token.status != Status.READY and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        token = api.tokens.get(token.id)
