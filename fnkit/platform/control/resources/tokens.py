"""Tokens: their creation, and which ones the gateway accepts (docs/api-behaviour.md)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final, Never

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateToken
from fnkit.contract.resources import Token
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.kinds import FUNCTIONS, NAMESPACES, TOKENS, build_view
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.control.resources.token_key import SigningKeyStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.timestamps import format_expiry, parse_expiry
from fnkit.platform.model.records import TokenRecord

_NANOSECONDS_PER_SECOND: Final = 10**9
_HIDDEN_TOKEN: Final = "<hidden>"  # noqa: S105 - what the API shows instead of a token


class Tokens(Resource[TokenRecord, Token, CreateToken, Never]):
    """The operations on tokens. A token is only part of the response that creates it and is not stored."""

    def __init__(self, context: ControlContext, link: DataPlaneLink, signing_keys: SigningKeyStore) -> None:
        super().__init__(context, TOKENS)
        self._link = link
        self._signing_keys = signing_keys

    async def create(self, region: str, request: CreateToken) -> Token:
        """Create a token, which is returned as ``creating`` and becomes ready right after.

        The gateway accepts the token once this returns.

        Raises:
            ControlError: A field is invalid, or the function or namespace does not exist.
            OSError: The signing key could not be written.
        """
        expires_at = None if request.expires_at is None else parse_expiry("expires_at", request.expires_at)
        description = validation.description(request.description or "")
        scope = _parse_scope(request)
        self._get_project(region, scope)
        key = await self._signing_keys.get()
        token_id = str(uuid.uuid4())
        now = self._context.clock.now_ns()
        claims = _build_claims(token_id, scope, now // _NANOSECONDS_PER_SECOND, expires_at)
        token = await asyncio.to_thread(key.sign, claims)
        with self._context.store.transaction():
            record = TokenRecord(
                id=token_id,
                region=region,
                project_id=self._get_project(region, scope),
                function_id=scope.get("function_id"),
                namespace_id=scope.get("namespace_id"),
                created_at=now,
                expires_at=expires_at,
                description=description,
            )
            self._records.insert(record)
        await self._link.change_credentials(public_key=key.public_pem, issued=(record.id,))
        self._make_ready_in_background(record)
        return msgspec.structs.replace(self._view(record), token=token, public_key=key.public_pem)

    async def _stop(self, record: TokenRecord) -> None:
        await self._link.change_credentials(revoked=(record.id,))

    def _view(self, record: TokenRecord) -> Token:
        return build_view(
            Token,
            record,
            token=_HIDDEN_TOKEN,
            function_id=record.function_id or msgspec.UNSET,
            namespace_id=record.namespace_id or msgspec.UNSET,
            public_key="",  # as recorded, only the response that creates a token has token and key
            expires_at=None if record.expires_at is None else format_expiry(record.expires_at),
        )

    def _get_project(self, region: str, scope: Mapping[str, str]) -> str:
        """Return the project of the token's function or namespace, which must exist and not be in ``deleting``."""
        store = self._context.store
        if (function_id := scope.get("function_id")) is not None:
            return FUNCTIONS.require(store, region, function_id).project_id
        return NAMESPACES.require(store, region, scope["namespace_id"]).project_id


def active_token_ids(store: Store) -> tuple[str, ...]:
    """Return the ids of all tokens that are not being deleted, including expired ones."""
    return tuple(record.id for record in store.tokens.all() if record.status is not Status.DELETING)


def _parse_scope(request: CreateToken) -> dict[str, str]:
    """Return the id of the function or namespace under its field's name. Exactly one must be given."""
    given = {"function_id": request.function_id, "namespace_id": request.namespace_id}
    scope = {name: validation.uuid_text(name, value) for name, value in given.items() if value}
    if len(scope) != 1:
        raise ControlError(400, "exactly one of function_id and namespace_id must be given")
    return scope


def _build_claims(token_id: str, scope: Mapping[str, str], issued: int, expires: int | None) -> dict[str, object]:
    """Return the claims of a token, with the names and in the order recorded from the real API.

    Args:
        token_id: The ``jti`` claim.
        scope: ``function_id`` or ``namespace_id``.
        issued: Platform time in Unix seconds.
        expires: Platform time in Unix seconds, or ``None``.
    """
    application = {"namespace_id": scope.get("namespace_id", ""), "application_id": scope.get("function_id", "")}
    return {
        "application_claim": [application],
        "version": 2,
        "aud": "functions",
        **({} if expires is None else {"exp": expires}),
        "jti": token_id,
        "iat": issued,
        "iss": "SCALEWAY",
        "nbf": issued,
        "sub": "token",
    }
