"""Functions: their creation, changes, deployment and removal, also of all functions of a namespace."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from fnkit.contract.durations import format_duration
from fnkit.contract.enums import RuntimeStatus, Status
from fnkit.contract.platform import ArchiveEnd, EditCode, EditResult
from fnkit.contract.requests import CreateFunction, UpdateFunction
from fnkit.contract.resources import Function, Runtime
from fnkit.platform.control import timestamps
from fnkit.platform.control.addresses import domain_label, domain_name
from fnkit.platform.control.cleanup import GarbageCollector
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.archive_edits import ArchiveEdit, NotAnEdit, assemble_archive
from fnkit.platform.control.deployments.deployments import Deployments
from fnkit.platform.control.deployments.edits import check_edit
from fnkit.platform.control.deployments.restarts import Restarts
from fnkit.platform.control.errors import ControlError, already_exists, invalid, not_found, quota_exceeded
from fnkit.platform.control.images.images import Images
from fnkit.platform.control.logs.functions_v1 import FunctionLogsResponse, newest_lines
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.function_settings import check_variable_counts, new_settings, updated_settings
from fnkit.platform.control.resources.kinds import FUNCTIONS, NAMESPACES, build_view, delete_with_attached
from fnkit.platform.control.resources.lists import ListResponse, parse_list_query
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.control.secrets import public_view
from fnkit.platform.control.store.collection import Page
from fnkit.platform.control.store.database import QuotaUsage
from fnkit.platform.model.records import (
    FunctionRecord,
    FunctionSettings,
    NamespaceRecord,
    RecordChanges,
)
from fnkit.platform.model.settings import ProjectQuotas, Quotas

_NOT_EDITABLE: Final = "the code of this function cannot be edited: deploy an archive"
_UNPAGED_SIZE: Final = 2**31 - 1
_REDEPLOY_TIMEOUT: Final = 30.0


class Functions(Resource[FunctionRecord, Function, CreateFunction, UpdateFunction]):
    """The operations on functions, and those on all functions of a namespace.

    Args:
        context: Shared dependencies.
        link: The connection to the data plane.
        deployments: Builds and starts deployments.
        restarts: Starts serving deployments again.
        garbage_collector: Removes built code and archives.
        images: The images of functions.
        on_cron_changed: Called with the id of each cron of a function that is being deleted.
        uid_range: User ids for instances if the platform runs as root, else ``None``.
    """

    def __init__(
        self,
        context: ControlContext,
        link: DataPlaneLink,
        deployments: Deployments,
        restarts: Restarts,
        garbage_collector: GarbageCollector,
        images: Images,
        on_cron_changed: Callable[[str], None],
        uid_range: range | None = None,
    ) -> None:
        super().__init__(context, FUNCTIONS)
        self._link = link
        self._deployments = deployments
        self._restarts = restarts
        self._garbage_collector = garbage_collector
        self._images = images
        self._on_cron_changed = on_cron_changed
        self._uid_range = uid_range

    async def create(self, region: str, request: CreateFunction) -> Function:
        """Create a function in status ``created``; nothing is deployed yet, as recorded from the real API.

        Raises:
            ControlError: A field is invalid, the namespace does not exist, the name is taken or a quota is reached.
        """
        context = self._context
        name = validation.function_name(request.name)
        function_id = str(uuid.uuid4())
        settings = new_settings(request, self._context.runtimes)
        description = validation.description(request.description or "")
        tags = validation.tags(request.tags or [])
        network = validation.private_network(request.private_network_id or "")
        namespace_id = validation.uuid_text("namespace_id", request.namespace_id)
        namespace = NAMESPACES.require(context.store, region, namespace_id)
        changes = await context.secrets.prepare_changes(function_id, request.secret_environment_variables, ())
        settings = msgspec.structs.replace(settings, secrets=changes.merge(()))
        with context.store.transaction():
            # Read again: the namespace may have been deleted while the secrets were hashed.
            namespace = NAMESPACES.require(context.store, region, namespace.id)
            now = context.clock.now_ns()
            record = FunctionRecord(
                id=function_id,
                region=region,
                name=name,
                namespace_id=namespace.id,
                project_id=namespace.project_id,
                organization_id=namespace.organization_id,
                host_label=domain_label(namespace.label, name),
                created_at=now,
                updated_at=now,
                settings=settings,
                description=description,
                tags=tags,
                private_network_id=network,
                uid=context.store.find_free_uid(self._uid_range) if self._uid_range else 0,
            )
            self._check_new(namespace, record)
            self._records.insert(record)
        return self._view(record, timestamps.CREATED_TIMESTAMPS)

    def list_in_namespace(self, region: str, namespace_id: str, query: Mapping[str, str]) -> ListResponse:
        """Return all functions of a namespace, or a page if ``page_size`` is given (for older clients).

        Raises:
            ControlError: 404, or a parameter is invalid.
        """
        if NAMESPACES.find(self._context.store, region, namespace_id) is None:
            raise not_found(NAMESPACES.title)
        list_query = parse_list_query({**query, "namespace_id": namespace_id}, FUNCTIONS)
        if not query.get("page_size"):
            list_query = dataclasses.replace(list_query, page=Page(size=_UNPAGED_SIZE))
        return self._cache.get_page(FUNCTIONS.plural, region, list_query)

    async def logs(self, region: str, function_id: str) -> FunctionLogsResponse:
        """Return the log lines of a function, newest first. An endpoint for older clients."""
        record = self.get_record(region, function_id)
        return await asyncio.to_thread(newest_lines, self._context.layout.logs_dir / record.id)

    async def update(self, region: str, function_id: str, request: UpdateFunction) -> Function:
        """Change the given fields and deploy the function, unless ``redeploy`` is false.

        Raises:
            ControlError: A field is invalid, a quota is reached, or the function is missing or being deleted.
        """
        context = self._context
        before = self.get_writable(region, function_id)
        # Validate everything before hashing secrets, which takes about 40 ms each. The record is read and validated
        # again in the transaction, since another request may have changed it meanwhile.
        updated_settings(before.settings, request, self._context.runtimes)
        given = validation.given(
            description=validation.optional(validation.description, request.description),
            tags=validation.optional(validation.tags, request.tags),
        )
        if request.private_network_id is not None:
            given["private_network_id"] = validation.private_network(request.private_network_id)
        changes = await context.secrets.prepare_changes(
            function_id, request.secret_environment_variables, before.settings.secrets
        )
        with context.store.transaction():
            current = self.get_writable(region, function_id)
            settings = updated_settings(current.settings, request, self._context.runtimes)
            if changes:
                settings = msgspec.structs.replace(settings, secrets=changes.merge(settings.secrets))
            record = msgspec.structs.replace(current, settings=settings, updated_at=context.clock.now_ns(), **given)
            self._check_quota(NAMESPACES.require(context.store, region, current.namespace_id), record, current)
            deploys = request.redeploy is not False
            if deploys:
                record = self._deployments.prepare(record)
            self._records.update(record)
        if deploys:
            self._deployments.start(record)
        return self._changed_view(record)

    def deploy(self, region: str, function_id: str) -> Function:
        """Return the function as ``pending``; build and start it in the background.

        Raises:
            ControlError: 404, or 409 if it is being deleted.
        """
        with self._context.store.transaction():
            record = self._deployments.prepare(self.get_writable(region, function_id))
            self._records.update(record)
        self._deployments.start(record)
        return self._changed_view(record)

    async def edit_code(self, region: str, function_id: str, request: EditCode) -> EditResult:
        """Change files of the serving code, and return once an instance with them serves or has failed to start.

        Requests in progress are completed by instances with the code as it was.

        Raises:
            ControlError: 400 if a file cannot be edited; 409 if the function has other code than the caller
                assumes, or code that has to be built.
        """
        if reason := check_edit(request.files):
            raise invalid("files", reason)
        tags = validation.tags(request.tags)
        if request.archive is None:
            record = self._begin_edit(region, function_id, request, archive=None)
            return await self._deployments.edit(record, tuple(request.files), tags)
        if request.files:
            raise invalid("files", "must be empty with an archive, which has them")
        edit = await self._assemble_archive(self._editable(region, function_id, request), request.archive)
        try:
            record = self._begin_edit(region, function_id, request, archive=edit.base)
        except BaseException:
            edit.discard()
            raise
        return await self._deployments.edit(record, edit.files, tags, edit)

    def _editable(self, region: str, function_id: str, request: EditCode) -> FunctionRecord:
        current = self.get_writable(region, function_id)
        if current.tags != tuple(request.expected_tags) or not self._deployments.can_edit(current):
            raise ControlError(409, _NOT_EDITABLE)
        return current

    def _begin_edit(
        self, region: str, function_id: str, request: EditCode, *, archive: str | None
    ) -> FunctionRecord:
        with self._context.store.transaction():
            current = self._editable(region, function_id, request)
            if archive is not None and current.archive != archive:
                raise ControlError(409, _NOT_EDITABLE)
            record = self._deployments.prepare(current)
            self._records.update(record)
        return record

    async def _assemble_archive(self, record: FunctionRecord, end: ArchiveEnd) -> ArchiveEdit:
        if record.archive is None:
            raise ControlError(409, _NOT_EDITABLE)
        try:
            return await asyncio.to_thread(assemble_archive, self._context.blobs, record.archive, end)
        except NotAnEdit as reason:
            raise ControlError(409, f"{_NOT_EDITABLE} ({reason})") from None

    def check_variable_counts(self, namespace: NamespaceRecord) -> None:
        """Check that no function of a namespace would have too many variables or secrets together with it.

        Raises:
            ControlError: 400.
        """
        for record in self._records.all(namespace_id=namespace.id):
            check_variable_counts(namespace, record.name, record.settings)

    def bump_generations(self, namespace_id: str) -> None:
        """Give each deployment of the namespace's functions its next generation. Call this in a transaction.

        The data plane reports the result of a start by function and generation, so each restart needs a generation
        of its own.
        """
        for record in self._records.all(namespace_id=namespace_id):
            if record.status is Status.DELETING:
                continue
            if record.status is Status.PENDING:
                self._records.update(self._deployments.prepare(record))
            elif record.serving is not None:
                generation = record.generation + 1
                serving = msgspec.structs.replace(record.serving, generation=generation)
                self._records.update(msgspec.structs.replace(record, generation=generation, serving=serving))

    async def redeploy_namespace(self, namespace_id: str) -> None:
        """Restart all functions of a namespace with its current variables and wait until their instances run.

        Functions without a serving deployment are not waited for. If no data plane is connected, its next snapshot
        contains the new variables.
        """
        restarts = []
        for record in self._records.all(namespace_id=namespace_id):
            if record.status is Status.PENDING:
                self._deployments.start(record)
            elif record.serving is not None and record.status is not Status.DELETING:
                restarts.append(self._restarts.start(record))
        if restarts and self._link.connected:
            # The data plane never reports a result for a start that a newer generation superseded.
            await asyncio.wait(restarts, timeout=_REDEPLOY_TIMEOUT)

    def mark_all_deleting(self, namespace_id: str) -> None:
        """Mark all functions of a namespace as ``deleting``. Call this in a transaction."""
        for record in self._records.all(namespace_id=namespace_id):
            if record.status is not Status.DELETING:
                self._mark_deleting(record)

    async def stop_serving(self, records: Iterable[FunctionRecord]) -> None:
        """Cancel the deployments of functions and remove their routes from the data plane.

        Args:
            records: Functions in status ``deleting``.
        """
        ids = [record.id for record in records]
        for function_id in ids:
            self._deployments.cancel(function_id)
            for cron in self._context.store.crons.all(function_id=function_id):
                self._on_cron_changed(cron.id)
        await self._link.remove(*ids)

    async def make_ready(self, record: FunctionRecord) -> None:
        """Deploy a pending function in the background."""
        self._deployments.start(record)

    async def purge(self, record_id: str) -> None:
        """Delete a function in status ``deleting`` with everything attached to it, its code, archive and logs.

        Code and logs are removed after the longest time that a request in progress may still take.
        """
        record = self._records.get(record_id)
        if record is None:
            return
        await super().purge(record_id)
        self._garbage_collector.remove_archive(record.archive)
        grace = record.settings.timeout_seconds if record.serving else 0.0
        self._garbage_collector.remove_old_builds(record, None, grace)
        self._garbage_collector.remove_dependencies(record_id)
        self._garbage_collector.remove(self._context.layout.logs_dir / record_id, grace)

    def _forget(self, record_id: str) -> None:
        with self._context.store.transaction():
            self._images.keep_until_expiry(record_id)
            delete_with_attached(self._context.store, self._kind, record_id)

    async def expire_deployments(self) -> None:
        """Stop serving deployments whose newer deployment failed 24 hours ago."""
        store = self._context.store
        expired = store.expired_functions(self._context.clock.now_ns())
        if not expired:
            return
        with store.transaction():
            for record in expired:
                self._records.update(msgspec.structs.replace(record, serving=None, expires_at=None))
                self._restarts.cancel(record.id)
        await self._link.remove(*(record.id for record in expired))
        for record in expired:
            self._garbage_collector.remove_old_builds(record, None, record.settings.timeout_seconds)

    def _view(self, record: FunctionRecord, just_written: frozenset[str] = timestamps.NO_TIMESTAMPS) -> Function:
        settings = record.settings
        return build_view(
            Function,
            record,
            settings,
            environment_variables=settings.environment,
            memory_limit=settings.memory,
            cpu_limit=settings.cpu,
            timeout=format_duration(settings.timeout),
            domain_name=domain_name(record.host_label, record.region, self._context.settings.domain_suffix),
            secret_environment_variables=public_view(settings.secrets),
            runtime_message=_runtime_message(self._context.runtimes.find(settings.runtime)),
            created_at=timestamps.format_timestamp("created_at", record.created_at, just_written),
            updated_at=timestamps.format_timestamp("updated_at", record.updated_at, just_written),
            ready_at=None if record.ready_at is None else timestamps.format_microseconds(record.ready_at),
        )

    def _changed_view(self, record: FunctionRecord) -> Function:
        return self._view(record, timestamps.UPDATED_TIMESTAMPS)

    def _deleting_changes(self) -> RecordChanges:
        return {"updated_at": self._context.clock.now_ns()}

    async def _stop(self, record: FunctionRecord) -> None:
        await self.stop_serving([record])

    def _check_new(self, namespace: NamespaceRecord, record: FunctionRecord) -> None:
        if self._records.count({"namespace_id": namespace.id, "name": record.name}):
            raise already_exists("Function")
        for quotas, usage in self._quotas(record):
            if quotas.functions is not None and usage.functions >= quotas.functions:
                raise quota_exceeded("functions", quotas.functions, usage.functions)
        self._check_quota(namespace, record, None)

    def _check_quota(
        self, namespace: NamespaceRecord, record: FunctionRecord, before: FunctionRecord | None
    ) -> None:
        check_variable_counts(namespace, record.name, record.settings)
        additional = _reserved_memory(record.settings) - (_reserved_memory(before.settings) if before else 0)
        if additional <= 0:
            return
        for quotas, usage in self._quotas(record):
            if quotas.memory is not None and usage.memory + additional > quotas.memory:
                raise quota_exceeded("functions_memory", quotas.memory, usage.memory)

    def _quotas(self, record: FunctionRecord) -> Iterator[tuple[Quotas | ProjectQuotas, QuotaUsage]]:
        """Yield the quotas that apply to a function, each with its current usage."""
        settings, store = self._context.settings, self._context.store
        yield settings.quotas, store.get_usage(record.organization_id)
        if settings.project_quotas != ProjectQuotas():
            yield settings.project_quotas, store.get_project_usage(record.project_id)


def _reserved_memory(settings: FunctionSettings) -> int:
    return settings.memory * settings.max_scale


def _runtime_message(runtime: Runtime | None) -> str:
    available = runtime is None or runtime.status in (RuntimeStatus.AVAILABLE, RuntimeStatus.BETA)
    return "" if available or runtime is None else runtime.status_message
