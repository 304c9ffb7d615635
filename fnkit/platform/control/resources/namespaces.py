"""Operations on namespaces: create, get, list, update, delete."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.names import namespace_slug
from fnkit.contract.requests import CreateNamespace, UpdateNamespace
from fnkit.contract.resources import Namespace
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.errors import already_exists, not_found, quota_exceeded, transient_state
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.cascade import delete_tokens, mark_tokens_deleting
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.lists import (
    ORDER_BY_CREATED_OR_NAME,
    ListResponse,
    RenderedCache,
    parse_list_query,
)
from fnkit.platform.control.resources.views import CREATED_TIMESTAMPS, UPDATED_TIMESTAMPS, namespace_view
from fnkit.platform.model.records import NamespaceRecord, transition

__all__ = ["Namespaces"]

_SUFFIX_ALPHABET: Final = string.ascii_lowercase + string.digits
_SUFFIX_LENGTH: Final = 8
_FILTERS: Final = ("name", "organization_id", "project_id")


class Namespaces:
    """The operations on namespaces."""

    def __init__(self, context: ControlContext, functions: Functions) -> None:
        self._context = context
        self._functions = functions
        self._cache = RenderedCache(context.store.namespaces, namespace_view)

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
        description = validation.text("description", request.description or "")
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
            context.store.namespaces.insert(record)
        self.make_ready_in_background(record)
        return namespace_view(record, CREATED_TIMESTAMPS)

    def get(self, region: str, namespace_id: str) -> msgspec.Raw:
        """Return a namespace as encoded JSON.

        Raises:
            ControlError: 404.
        """
        if (rendered := self._cache.get(region, namespace_id)) is None:
            raise not_found("Namespace")
        return rendered

    def list(self, region: str, query: Mapping[str, str]) -> ListResponse:
        """Return a page of namespaces."""
        list_query = parse_list_query(query, ORDER_BY_CREATED_OR_NAME, _FILTERS)
        return self._cache.get_page("namespaces", region, list_query)

    def list_functions(self, region: str, namespace_id: str, query: Mapping[str, str]) -> ListResponse:
        """Return all functions of a namespace, or a page if ``page_size`` is given (for older clients)."""
        return self._functions.list_in_namespace(region, self.get_record(region, namespace_id).id, query)

    async def update(self, region: str, namespace_id: str, request: UpdateNamespace) -> Namespace:
        """Change the given fields of a namespace.

        If variables or secrets change, the namespace is ``pending`` until all its functions run with them.

        Raises:
            ControlError: A field is invalid, or the namespace does not exist or is being deleted.
        """
        context = self._context
        before = self._get_writable(region, namespace_id)
        variables = request.environment_variables
        environment = None if variables is None else validation.environment(variables)
        tags = None if request.tags is None else validation.tags(request.tags)
        description = None if request.description is None else validation.text("description", request.description)
        changes = await context.secrets.prepare_changes(
            namespace_id, request.secret_environment_variables, before.secrets
        )
        with context.store.transaction():
            current = self._get_writable(region, namespace_id)
            record = msgspec.structs.replace(
                current,
                environment=current.environment if environment is None else environment,
                secrets=changes.merge(current.secrets) if changes else current.secrets,
                tags=current.tags if tags is None else tags,
                description=current.description if description is None else description,
                updated_at=context.clock.now_ns(),
            )
            redeploys = record.environment != current.environment or record.secrets != current.secrets
            if redeploys:
                record = transition(record, Status.PENDING)
                self._functions.bump_generations(record.id)
            context.store.namespaces.update(record)
        if redeploys:
            self.make_ready_in_background(record)
        return namespace_view(record, UPDATED_TIMESTAMPS)

    async def delete(self, region: str, namespace_id: str) -> Namespace:
        """Return the namespace as ``deleting`` once none of its functions is served; remove it in the background.

        The real API was recorded to delete everything in the namespace with it.

        Raises:
            ControlError: 404, or 409 if it is being deleted already.
        """
        context = self._context
        with context.store.transaction():
            record = transition(
                self._get_writable(region, namespace_id),
                Status.DELETING,
                error_message=None,
                updated_at=context.clock.now_ns(),
            )
            context.store.namespaces.update(record)
            mark_tokens_deleting(context.store, namespace_id=record.id)
            functions = self._functions.mark_all_deleting(record.id)
        await self._functions.stop_serving(functions)
        context.tasks.start(self.purge(record.id), f"removal of {record.id}")
        return namespace_view(record, UPDATED_TIMESTAMPS)

    def make_ready_in_background(self, record: NamespaceRecord) -> None:
        """Redeploy the functions of a pending namespace and make it ready, in the background."""
        self._context.tasks.start(self._make_ready(record), f"namespace {record.id}")

    async def purge(self, namespace_id: str) -> None:
        """Delete a namespace in status ``deleting`` and everything in it from the store."""
        store = self._context.store
        for function in list(store.functions.all(namespace_id=namespace_id)):
            await self._functions.purge(function.id)

        def forget() -> None:
            with store.transaction():
                delete_tokens(store, namespace_id=namespace_id)
                store.namespaces.delete(namespace_id)

        await retry_until_written(forget)

    async def _make_ready(self, record: NamespaceRecord) -> None:
        await self._functions.redeploy_namespace(record.id)
        await retry_until_written(lambda: self._mark_ready(record))

    def _mark_ready(self, record: NamespaceRecord) -> None:
        store = self._context.store
        with store.transaction():
            current = store.namespaces.get(record.id)
            # A later update has its own run of this method, which makes the namespace ready.
            if current is None or current.status is not Status.PENDING or current.updated_at != record.updated_at:
                return
            store.namespaces.update(
                transition(
                    current,
                    Status.READY,
                    registry_namespace_id=current.registry_namespace_id or str(uuid.uuid4()),
                    updated_at=self._context.clock.now_ns(),
                )
            )

    def get_record(self, region: str, namespace_id: str) -> NamespaceRecord:
        """Return the stored namespace in any status.

        Raises:
            ControlError: 404.
        """
        record = self._context.store.namespaces.get(namespace_id)
        if record is None or record.region != region:
            raise not_found("Namespace")
        return record

    def _get_writable(self, region: str, namespace_id: str) -> NamespaceRecord:
        record = self.get_record(region, namespace_id)
        if record.status is Status.DELETING:
            raise transient_state("namespace", record.id, record.status)
        return record

    def _check_name_available(self, region: str, project_id: str, name: str) -> None:
        if self._context.store.namespaces.count({"region": region, "project_id": project_id, "name": name}):
            raise already_exists("Namespace")

    def _check_quota(self, project_id: str) -> None:
        quota = self._context.settings.quotas.namespaces
        if quota is None:
            return
        current = self._context.store.namespaces.count({"project_id": project_id})
        if current >= quota:
            raise quota_exceeded("function_namespaces", quota, current)


def _make_label(name: str) -> str:
    return namespace_slug(name) + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
