"""API keys: authentication, permissions, and operations on additional keys.

A key that is bound to a project only has access to that project's resources. References to other resources in a
request are replaced with references to nothing before an operation sees them. The key therefore cannot learn
whether an id exists, and operations need no checks of their own.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from fnkit.contract.platform import ApiKey, ApiKeyList, CreateApiKey
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.errors import not_found, permissions_denied
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.kinds import FUNCTIONS, KINDS, NAMESPACES, TRIGGERS, build_view
from fnkit.platform.control.store.api_keys import ApiKeyFile, make_access_key
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.derived_keys import registry_pull_key
from fnkit.platform.model.records import ApiKeyRecord
from fnkit.platform.model.routing import KeyGrant

T = TypeVar("T")
_PULLER: Final = "registry-pull"
"""What the request log calls the key of the cluster's nodes."""
_NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
_PROJECT_FIELDS: Final = {"project_id": NAMESPACES.plural, "mnq_project_id": TRIGGERS.plural}
"""Field of a request that names a project → kind of the resource that it belongs to."""
_IRREGULAR_NAMES: Final = {"functions": "functions", "issue-jwt": "function_tokens"}


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated API key.

    Attributes:
        access_key: The key's public name.
        is_root: Whether this is the platform's own key, the only one that can manage other keys.
        read_only: Whether every write is denied.
        project_id: The only project that the key can access, or ``None`` for all projects.
        is_cluster: Whether this is the key of a cluster's nodes, which pulls images whose names it knows.
    """

    access_key: str
    is_root: bool = False
    read_only: bool = False
    project_id: str | None = None
    is_cluster: bool = False

    def require_write(self, resource: str) -> None:
        """Require a key that may write.

        Args:
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, the key may only read.
        """
        if self.read_only:
            raise permissions_denied("write", resource)

    def require_unscoped(self, action: str, resource: str) -> None:
        """Require a key for all projects, and to write also one that may write.

        For operations on things that belong to no project, such as the clock.

        Args:
            action: ``read`` or ``write``.
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, the key is bound to a project or may only read.
        """
        if self.project_id is not None or (action == "write" and self.read_only):
            raise permissions_denied(action, resource)

    def require_root(self, action: str, resource: str) -> None:
        """Require the platform's own key.

        Args:
            action: ``read`` or ``write``.
            resource: The kind of resource, as ``permissions_denied`` reports it.

        Raises:
            ControlError: 403, this is an additional key.
        """
        if not self.is_root:
            raise permissions_denied(action, resource)


def resource_name(kind: str) -> str:
    """Return the name of a kind of resource in error responses, given its name in paths.

    >>> resource_name("crons"), resource_name("functions")
    ('function_crons', 'functions')
    """
    return _IRREGULAR_NAMES.get(kind, f"function_{kind}")


class AccessScope:
    """The resources that a principal has access to: all, or those of one project."""

    def __init__(self, store: Store, principal: Principal) -> None:
        self._store = store
        self._project_id = principal.project_id

    def can_see(self, kind: str, record_id: str) -> bool:
        """Return whether the principal has access to a resource. A bound key has none to what does not exist."""
        return self._project_id is None or KINDS[kind].project_of(self._store, record_id) == self._project_id

    def narrow_query(self, kind: str, query: Mapping[str, str]) -> Mapping[str, str]:
        """Return the query of a list with filters that restrict it to the accessible resources."""
        if self._project_id is None or kind not in KINDS:
            return query
        project_id = query.get("project_id") or self._project_id
        return {**query, "project_id": project_id if project_id == self._project_id else _NIL_UUID}

    def narrow_body(self, body: T) -> T:
        """Return a request's body with references to inaccessible resources replaced by the nil UUID.

        Raises:
            ControlError: 403, the body names another project. This reveals nothing: the client chose the project.
        """
        if self._project_id is None or not isinstance(body, msgspec.Struct):
            return body
        for kind, project in _named_projects(body):
            if project.lower() != self._project_id:
                raise permissions_denied("write", resource_name(kind))
        hidden = {}
        for field, kind in (("function_id", FUNCTIONS.plural), ("namespace_id", NAMESPACES.plural)):
            record_id = getattr(body, field, None)
            if record_id and not self.can_see(kind, record_id.lower()):
                hidden[field] = _NIL_UUID
        return msgspec.structs.replace(body, **hidden) if hidden else body


def _named_projects(body: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield the projects that a body names, also in nested objects, each with the kind of resource it is named for.

    The message source of a trigger has a project of its own, whose queues and subjects its messages come from.
    """
    for field in body.__struct_fields__:
        value = getattr(body, field)
        if isinstance(value, msgspec.Struct):
            yield from _named_projects(value)
        elif value and field in _PROJECT_FIELDS:
            yield _PROJECT_FIELDS[field], value


class ApiKeyRegistry:
    """Authentication and the operations on additional API keys.

    A secret key is only part of the response that creates it; the platform stores a hash.
    """

    def __init__(self, context: ControlContext, link: DataPlaneLink, keys: ApiKeyFile) -> None:
        self._context = context
        self._link = link
        self._keys = keys
        self._root_key = context.settings.secret_key.encode()
        self._pull_key = (
            registry_pull_key(context.settings.secret_key).encode()
            if context.settings.engine == "kubernetes"
            else None
        )

    def authenticate(self, secret_key: bytes) -> Principal | None:
        """Return the principal with this secret key, or ``None``."""
        if hmac.compare_digest(secret_key, self._root_key):
            return Principal(access_key=self._context.settings.access_key, is_root=True)
        key = self._keys.find_by_hash(_sha256(secret_key))
        if key is None:
            return None
        return Principal(access_key=key.access_key, read_only=key.read_only, project_id=key.project_id)

    def authenticate_puller(self, secret_key: bytes) -> Principal | None:
        """Return the principal with this secret key, or with the key of the cluster's nodes, or ``None``.

        Only the registry calls this: that key gives access to nothing else.
        """
        if self._pull_key is not None and hmac.compare_digest(secret_key, self._pull_key):
            return Principal(access_key=_PULLER, read_only=True, is_cluster=True)
        return self.authenticate(secret_key)

    async def create(self, request: CreateApiKey) -> ApiKey:
        """Create a key and return it with its secret, which the API and the gateway accept from then on.

        Raises:
            ControlError: A field is invalid.
            OSError: The keys could not be written.
        """
        project_id = validation.uuid_text("project_id", request.project_id) if request.project_id else None
        description = validation.description(request.description or "")
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
        await self._link.change_credentials(keys=key_grants(self._keys))
        return build_view(ApiKey, record, secret_key=secret_key)

    def list(self) -> ApiKeyList:
        """Return all additional keys without their secrets."""
        keys = [build_view(ApiKey, key, secret_key=None) for key in self._keys.all()]
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
        await self._link.change_credentials(keys=key_grants(self._keys))
        return build_view(ApiKey, record, secret_key=None)


def key_grants(keys: ApiKeyFile) -> tuple[KeyGrant, ...]:
    """Return the additional keys in the form that the gateway checks."""
    return tuple(KeyGrant(sha256=bytes.fromhex(key.sha256), project_id=key.project_id) for key in keys.all())


def _sha256(secret_key: bytes) -> str:
    return hashlib.sha256(secret_key).hexdigest()
