"""Credentials for the call of a private function."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from fnkit.client import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateToken
from fnkit.contract.resources import Function, Token
from fnkit.errors import AuthenticationError

_HEADER: Final = "X-Auth-Token"
_CREDENTIAL_HEADERS: Final = frozenset({"x-auth-token", "scw-functions-token", "scw_functions_token"})
_TOKEN_LIFETIME: Final = timedelta(hours=2)  # the longest call takes one, and clocks may differ
_TOKEN_READY_TIMEOUT: Final = 30.0  # seconds for a new token to become ready
_POLL_SECONDS: Final = 0.5


def has_credentials(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether a request already authorizes itself."""
    return any(name.lower() in _CREDENTIAL_HEADERS for name, _ in headers)


@contextmanager
def temporary_credentials(
    api: FunctionsApi, function: Function, purpose: str
) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield the headers that authorize a call of the function; none for a public one.

    A private function accepts the account's secret key too, but the headers reach the function's code. A token
    gives that code access to nothing but this function. It is deleted at the end, and expires in any case.

    Args:
        api: The API of the platform that runs the function.
        function: The function.
        purpose: The command, for the token's description.

    Raises:
        ApiError: The token could not be created or deleted.
    """
    if function.privacy != "private":
        yield ()
        return
    expires_at = (datetime.now(UTC) + _TOKEN_LIFETIME).strftime("%Y-%m-%dT%H:%M:%SZ")
    request = CreateToken(function_id=function.id, description=purpose, expires_at=expires_at)
    try:
        token = api.tokens.create(request)
    except AuthenticationError:
        if api.endpoint.is_scaleway:
            raise
        # A read-only key of a local platform, whose gateway hides keys from the function's code.
        yield ((_HEADER, api.endpoint.secret_key),)
        return
    try:
        _wait_until_token_ready(api, token)
        yield ((_HEADER, token.token),)
    finally:
        api.tokens.delete(token.id)


def _wait_until_token_ready(api: FunctionsApi, token: Token) -> None:
    deadline = time.monotonic() + _TOKEN_READY_TIMEOUT
    while token.status != Status.READY and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        token = api.tokens.get(token.id)
