"""Tokens that open private functions of a project: one function, or all functions of its namespace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from fnkit.client import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateToken
from fnkit.contract.resources import Token
from fnkit.deploy.deployed import DeployedNamespace
from fnkit.deploy.identifiers import find_id
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import ApiError, NotFoundError

_READY_SECONDS: Final = 60.0
_MAX_INTERVAL: Final = 1.0
_MAX_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and what it opens: ``function`` is a name, or ``None`` for all functions of ``namespace``."""

    token: Token
    namespace: str
    function: str | None

    @property
    def scope(self) -> str:
        """What the token opens, in words."""
        return self.function or f"all functions of {self.namespace}"


def create_access_token(
    api: FunctionsApi,
    deployed: DeployedNamespace,
    *,
    function: str | None,
    description: str,
    expires_at: str | None,
) -> AccessToken:
    """Create a token and wait until it is valid. Only the returned value has its text.

    Args:
        api: The API.
        deployed: The live namespace.
        function: Name of the function that it opens; ``None`` for all of the namespace.
        description: Free text.
        expires_at: RFC 3339 time of its expiry; ``None`` for never.

    Raises:
        NotFoundError: ``not-deployed``.
        ApiError: The API refused it, or ``still-pending``: it did not become ready.
    """
    function_id = deployed.find_function(function).id if function is not None else None
    created = api.tokens.create(
        CreateToken(
            function_id=function_id,
            namespace_id=deployed.namespace.id if function_id is None else None,
            description=description or None,
            expires_at=expires_at,
        )
    )
    try:
        _wait_until_ready(api, created)
    except BaseException:  # also Ctrl-C: nobody would know the text of the token
        api.tokens.delete(created.id)
        raise
    return AccessToken(created, deployed.namespace.name, function)


def _wait_until_ready(api: FunctionsApi, token: Token) -> None:
    def ready() -> bool | None:
        return api.tokens.get(token.id).status == Status.READY or None

    if token.status != Status.READY and not AdaptiveLimiter().poll(
        ready, timeout_seconds=_READY_SECONDS, max_interval=_MAX_INTERVAL
    ):
        raise ApiError(
            f"The token did not become ready within {_READY_SECONDS:.0f} seconds, and was deleted.",
            code="still-pending",
            hint="Run the command again.",
        )


def list_access_tokens(api: FunctionsApi, deployed: DeployedNamespace) -> tuple[AccessToken, ...]:
    """Return the tokens of the namespace, then those of its functions by name. None has its text."""
    limiter = AdaptiveLimiter()
    namespace = deployed.namespace
    found = [
        AccessToken(one, namespace.name, None)
        for one in limiter.call(lambda: api.tokens.list(namespace_id=namespace.id))
        if isinstance(one.namespace_id, str)  # whether the filter excludes those of functions is not documented
    ]
    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="tokens") as pool:
        lists = pool.map(lambda one: limiter.call(partial(api.tokens.list, one.id)), deployed.functions)
        for function, tokens in zip(deployed.functions, lists, strict=True):
            found += [AccessToken(one, namespace.name, function.name) for one in tokens]
    return tuple(one for one in found if one.token.status != Status.DELETING)


def delete_access_token(api: FunctionsApi, deployed: DeployedNamespace, token_id: str) -> AccessToken:
    """Delete a token of the namespace or of one of its functions.

    Args:
        api: The API.
        deployed: The live namespace.
        token_id: The id of the token, or its first 8 characters.

    Raises:
        UsageError: ``ambiguous-name``: the ids of several begin so.
        NotFoundError: ``no-such-token``: there is none with this ID, or it belongs to another project.
    """
    tokens = {one.token.id: one for one in list_access_tokens(api, deployed)}
    found = tokens.get(find_id(token_id, tokens, "tokens") or "")
    if found is None:
        raise NotFoundError(
            f"Namespace {deployed.namespace.name} has no token {token_id}.",
            code="no-such-token",
            hint="`fnkit token list` lists the tokens with their IDs.",
        )
    api.tokens.delete(found.token.id)
    return found
