"""Namespaces: their creation and changes, which concern all their functions."""

from __future__ import annotations

import secrets
import string
import uuid
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateNamespace, UpdateNamespace
from fnkit.contract.resources import Namespace
from fnkit.platform.control.addresses import namespace_slug, registry_endpoint
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import already_exists, quota_exceeded
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.kinds import NAMESPACES, build_view
from fnkit.platform.control.resources.resource import UNREADY_STATUSES, Resource
from fnkit.platform.control.secrets import public_view
from fnkit.platform.control.timestamps import (
    CREATED_TIMESTAMPS,
    NO_TIMESTAMPS,
    UPDATED_TIMESTAMPS,
    format_timestamp,
)
from fnkit.platform.model.records import NamespaceRecord, RecordChanges, transition

_SUFFIX_ALPHABET: Final = string.ascii_lowercase + string.digits
_SUFFIX_LENGTH: Final = 8


class Namespaces(Resource[NamespaceRecord, Namespace, CreateNamespace, UpdateNamespace]):
    """The operations on namespaces."""

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        super().__init__(context, NAMESPACES)
        self._functions = functions

    async def create(self, region: str, request: CreateNamespace) -> Namespace:
        """Create a namespace, which is returned as ``pending`` and becomes ready right after, as recorded.

        Raises:
            ControlError: A field is invalid, the name is taken or a quota is exceeded.
        """
        context = self._context
        name = validation.namespace_name(request.name)
        project_id = validation.uuid_text("project_id", request.project_id)
        namespace_id = str(uuid.uuid4())
        environment = validation.environment(request.environment_variables or {})
        tags = validation.tags(request.tags or [])
        description = validation.description(request.description or "")
        self._check_name_available(region, project_id, name)
        changes = await context.secrets.prepare_changes(namespace_id, request.secret_environment_variables, ())
        now = context.clock.now_ns()
        record = NamespaceRecord(
            id=namespace_id,
            region=region,
            name=name,
            project_id=project_id,
            organization_id=context.settings.organization_id,
            label=_make_label(name),
            created_at=now,
            updated_at=now,
            environment=environment,
            secrets=changes.merge(()),
            description=description,
            tags=tags,
            vpc_integration_activated=request.activate_vpc_integration or False,
        )
        with context.store.transaction():
            # Check again: another request may have taken the name while the secrets were hashed.
            self._check_name_available(region, project_id, name)
            self._check_quota(project_id)
            self._records.insert(record)
        self._make_ready_in_background(record)
        return self._view(record, CREATED_TIMESTAMPS)

    async def update(self, region: str, namespace_id: str, request: UpdateNamespace) -> Namespace:
        """Change the given fields of a namespace.

        If variables or secrets change, the namespace is ``pending`` until all its functions run with them.

        Raises:
            ControlError: A field is invalid, or the namespace does not exist or is being deleted.
        """
        context = self._context
        before = self.get_writable(region, namespace_id)
        given = validation.given(
            environment=validation.optional(validation.environment, request.environment_variables),
            tags=validation.optional(validation.tags, request.tags),
            description=validation.optional(validation.description, request.description),
        )
        changes = await context.secrets.prepare_changes(
            namespace_id, request.secret_environment_variables, before.secrets
        )
        with context.store.transaction():
            current = self.get_writable(region, namespace_id)
            secrets = changes.merge(current.secrets) if changes else current.secrets
            record = msgspec.structs.replace(current, secrets=secrets, updated_at=context.clock.now_ns(), **given)
            redeploys = record.environment != current.environment or record.secrets != current.secrets
            if redeploys:
                self._functions.check_variable_counts(record)
                record = transition(record, Status.PENDING)
                self._functions.bump_generations(record.id)
            self._records.update(record)
        if record.status in UNREADY_STATUSES:  # also of an earlier update, which leaves the rest to this one
            self._make_ready_in_background(record)
        return self._changed_view(record)

    async def make_ready(self, record: NamespaceRecord) -> None:
        """Redeploy the functions of a pending namespace and make it ready."""
        await self._functions.redeploy_namespace(record.id)
        await super().make_ready(record)

    async def purge(self, record_id: str) -> None:
        """Delete a namespace in status ``deleting`` and everything in it from the store."""
        for function in self._context.store.functions.all(namespace_id=record_id):
            await self._functions.purge(function.id)
        await super().purge(record_id)

    def _view(self, record: NamespaceRecord, just_written: frozenset[str] = NO_TIMESTAMPS) -> Namespace:
        return build_view(
            Namespace,
            record,
            environment_variables=record.environment,
            registry_endpoint=self._registry_endpoint(record),
            secret_environment_variables=public_view(record.secrets),
            created_at=format_timestamp("created_at", record.created_at, just_written),
            updated_at=format_timestamp("updated_at", record.updated_at, just_written),
        )

    def _registry_endpoint(self, record: NamespaceRecord) -> str:
        if not record.registry_namespace_id:
            return ""
        return registry_endpoint(self._context.settings, record.label, record.region)

    def _changed_view(self, record: NamespaceRecord) -> Namespace:
        return self._view(record, UPDATED_TIMESTAMPS)

    def _deleting_changes(self) -> RecordChanges:
        return {"updated_at": self._context.clock.now_ns()}

    def _mark_deleting(self, record: NamespaceRecord) -> NamespaceRecord:
        """Mark the namespace and everything in it: the real API was recorded to delete it all."""
        deleting = super()._mark_deleting(record)
        self._functions.mark_all_deleting(record.id)
        return deleting

    async def _stop(self, record: NamespaceRecord) -> None:
        await self._functions.stop_serving(self._context.store.functions.all(namespace_id=record.id))

    async def _resume_one(self, record: NamespaceRecord) -> None:
        self._make_ready_in_background(record)  # starting instances takes a while

    def _mark_ready(self, record: NamespaceRecord) -> None:
        current = self._records.get(record.id)
        # A later update has its own run of this method, which makes the namespace ready.
        if current is not None and current.updated_at == record.updated_at:
            super()._mark_ready(record)

    def _ready_changes(self, record: NamespaceRecord) -> RecordChanges:
        registry_namespace_id = record.registry_namespace_id or str(uuid.uuid4())
        return {"registry_namespace_id": registry_namespace_id, "updated_at": self._context.clock.now_ns()}

    def _check_name_available(self, region: str, project_id: str, name: str) -> None:
        if self._records.count({"region": region, "project_id": project_id, "name": name}):
            raise already_exists("Namespace")

    def _check_quota(self, project_id: str) -> None:
        quota = self._context.settings.quotas.namespaces
        if quota is None:
            return
        current = self._records.count({"project_id": project_id})
        if current >= quota:
            raise quota_exceeded("function_namespaces", quota, current)


def _make_label(name: str) -> str:
    return namespace_slug(name) + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
