"""Operations on tokens: create, get, list, delete. The gateway verifies them (docs/api-behaviour.md)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateToken
from fnkit.contract.resources import Token
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.errors import ControlError, not_found, transient_state
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.lists import ORDER_BY_CREATED, ListResponse, RenderedCache, parse_list_query
from fnkit.platform.control.resources.namespaces import Namespaces
from fnkit.platform.control.resources.token_key import SigningKeyStore
from fnkit.platform.control.resources.views import token_view
from fnkit.platform.control.timestamps import parse_expiry
from fnkit.platform.model.records import TokenRecord, transition

__all__ = ["Tokens"]

_FILTERS: Final = ("function_id", "namespace_id", "project_id")
_NANOSECONDS_PER_SECOND: Final = 10**9


class Tokens:
    """The operations on tokens. A token is only part of the response that creates it and is not stored."""

    def __init__(
        self,
        context: ControlContext,
        link: DataPlaneLink,
        namespaces: Namespaces,
        functions: Functions,
        signing_keys: SigningKeyStore,
    ) -> None:
        self._context = context
        self._link = link
        self._namespaces = namespaces
        self._functions = functions
        self._signing_keys = signing_keys
        self._cache = RenderedCache(context.store.tokens, token_view)

    async def create(self, region: str, request: CreateToken) -> Token:
        """Create a token, which is returned as ``creating`` and becomes ready right after.

        The gateway accepts the token once this returns.

        Raises:
            ControlError: A field is invalid, or the function or namespace does not exist.
            OSError: The signing key could not be written.
        """
        expires_at = None if request.expires_at is None else parse_expiry("expires_at", request.expires_at)
        description = validation.text("description", request.description or "")
        scope = _parse_scope(request)
        self._get_project(region, scope)
        key = await self._signing_keys.get()
        token_id = str(uuid.uuid4())
        now = self._context.clock.now_ns()
        token = await asyncio.to_thread(
            key.sign, _build_claims(token_id, scope, now // _NANOSECONDS_PER_SECOND, expires_at)
        )
        store = self._context.store
        with store.transaction():
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
            store.tokens.insert(record)
        await self._link.change_credentials(public_key=key.public_pem, issued=(record.id,))
        self._context.tasks.start(self.make_ready(record), f"token {record.id}")
        return token_view(record, token, key.public_pem)

    def get(self, region: str, token_id: str) -> msgspec.Raw:
        """Return a token's metadata as encoded JSON, without the token itself.

        Raises:
            ControlError: 404.
        """
        if (rendered := self._cache.get(region, token_id)) is None:
            raise not_found("Token")
        return rendered

    def list(self, region: str, query: Mapping[str, str]) -> ListResponse:
        """Return a page of the tokens of a function, of a namespace, or of all."""
        return self._cache.get_page("tokens", region, parse_list_query(query, ORDER_BY_CREATED, _FILTERS))

    async def delete(self, region: str, token_id: str) -> Token:
        """Return the token as ``deleting`` once the gateway rejects it, and remove it in the background.

        Raises:
            ControlError: 404, or 409 if it is being deleted already.
        """
        store = self._context.store
        with store.transaction():
            record = store.tokens.get(token_id)
            if record is None or record.region != region:
                raise not_found("Token")
            if record.status is Status.DELETING:
                raise transient_state("token", record.id, record.status)
            record = transition(record, Status.DELETING)
            store.tokens.update(record)
        await self._link.change_credentials(revoked=(record.id,))
        self._context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return token_view(record)

    async def make_ready(self, record: TokenRecord) -> None:
        """Make a token in status ``creating`` ready."""
        await retry_until_written(lambda: self._mark_ready(record))

    async def purge(self, token_id: str) -> None:
        """Delete a token in status ``deleting`` from the store."""
        store = self._context.store

        def forget() -> None:
            with store.transaction():
                store.tokens.delete(token_id)

        await retry_until_written(forget)

    def active_ids(self) -> tuple[str, ...]:
        """Return the ids of all tokens that are not being deleted, including expired ones."""
        tokens = self._context.store.tokens.all()
        return tuple(record.id for record in tokens if record.status is not Status.DELETING)

    def _mark_ready(self, record: TokenRecord) -> None:
        store = self._context.store
        with store.transaction():
            current = store.tokens.get(record.id)
            if current is not None and current.status is Status.CREATING:
                store.tokens.update(transition(current, Status.READY))

    def _get_project(self, region: str, scope: Mapping[str, str]) -> str:
        """Return the project of the token's function or namespace, which must exist and not be in ``deleting``."""
        if (function_id := scope.get("function_id")) is not None:
            function = self._functions.get_record(region, function_id)
            if function.status is Status.DELETING:
                raise not_found("Function")
            return function.project_id
        namespace = self._namespaces.get_record(region, scope["namespace_id"])
        if namespace.status is Status.DELETING:
            raise not_found("Namespace")
        return namespace.project_id


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
