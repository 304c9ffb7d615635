"""API keys: authentication, permissions, and operations on additional keys.

A key that is bound to a project only has access to that project's resources. References to other resources in a
request are replaced with references to nothing before an operation sees them. The key therefore cannot learn
whether an id exists, and operations need no checks of their own.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid

from fnkit.contract.platform import ApiKey, ApiKeyList, CreateApiKey
from fnkit.platform.control import validation
from fnkit.platform.control.callers import Principal
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.link import DataPlaneLink
from fnkit.platform.control.refusals import not_found
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.records.api_key import ApiKeyRecord
from fnkit.platform.routing import KeyGrant
from fnkit.platform.store.api_keys import ApiKeyFile, make_access_key

__all__ = ["ApiKeyRegistry"]


class ApiKeyRegistry:
    """Authentication and the operations on additional API keys.

    A secret key is only part of the response that creates it; the platform stores a hash.
    """

    def __init__(self, context: ControlContext, link: DataPlaneLink, keys: ApiKeyFile) -> None:
        self._context = context
        self._link = link
        self._keys = keys
        self._root_key = context.settings.secret_key.encode()

    def authenticate(self, secret_key: bytes) -> Principal | None:
        """Return the principal with this secret key, or ``None``."""
        if hmac.compare_digest(secret_key, self._root_key):
            return Principal(is_root=True)
        key = self._keys.find_by_hash(_sha256(secret_key))
        return Principal(read_only=key.read_only, project_id=key.project_id) if key else None

    async def create(self, request: CreateApiKey) -> ApiKey:
        """Create a key and return it with its secret, which the API and the gateway accept from then on.

        Raises:
            ControlError: A field is invalid.
            OSError: The keys could not be written.
        """
        project_id = validation.uuid_text("project_id", request.project_id) if request.project_id else None
        description = validation.text("description", request.description or "")
        secret_key = str(uuid.uuid4())
        record = ApiKeyRecord(
            access_key=make_access_key(),
            sha256=_sha256(secret_key.encode()),
            created_at=format_microseconds(self._context.clock.now_ns()),
            read_only=request.read_only or False,
            project_id=project_id,
            description=description,
        )
        self._keys.add(record)
        await self._link.change_credentials(keys=self.grants())
        return _api_key_view(record, secret_key)

    def list(self) -> ApiKeyList:
        """Return all additional keys without their secrets."""
        keys = [_api_key_view(key) for key in self._keys.all()]
        return ApiKeyList(keys=keys, total_count=len(keys))

    async def delete(self, access_key: str) -> ApiKey:
        """Delete a key and return it once neither the API nor the gateway accepts it.

        Raises:
            ControlError: 404.
            OSError: The keys could not be written.
        """
        record = self._keys.remove(access_key)
        if record is None:
            raise not_found("API key")
        await self._link.change_credentials(keys=self.grants())
        return _api_key_view(record)

    def grants(self) -> tuple[KeyGrant, ...]:
        """Return the keys in the form that the gateway checks."""
        return tuple(
            KeyGrant(sha256=bytes.fromhex(key.sha256), project_id=key.project_id) for key in self._keys.all()
        )


def _api_key_view(record: ApiKeyRecord, secret_key: str | None = None) -> ApiKey:
    return ApiKey(
        access_key=record.access_key,
        secret_key=secret_key,
        read_only=record.read_only,
        project_id=record.project_id,
        description=record.description,
        created_at=record.created_at,
    )


def _sha256(secret_key: bytes) -> str:
    return hashlib.sha256(secret_key).hexdigest()
