"""Deployments of functions: ``pending`` → build → start of an instance by the data plane → ``ready`` or ``error``.

What instances run is made between the build and the start (``Programs``): with a cluster, an image.

``Deployments.prepare`` runs inside the transaction of the request, ``start`` after its commit. A newer generation
supersedes an older one immediately: the older build is stopped and its result discarded. Deployments that were
pending when control was killed start again at the next start of control. Without a data plane a deployment stays
pending until one connects.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.platform import EditedFile, EditResult
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import PlatformError
from fnkit.platform.control.cleanup import GarbageCollector
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.archive_edits import ArchiveEdit
from fnkit.platform.control.deployments.build import LANGUAGES_WITH_COMPILED_HANDLER, build
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob, BuildLimits, BuildLog
from fnkit.platform.control.deployments.compiled_libraries import libraries_directory
from fnkit.platform.control.deployments.dependencies import DependencyStore
from fnkit.platform.control.deployments.edits import EDITABLE_LANGUAGES, EditJob, apply_edit
from fnkit.platform.control.deployments.programs import Programs
from fnkit.platform.control.deployments.restarts import Restarts
from fnkit.platform.control.deployments.routes import build_route, merge_variables
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.records import Deployment, FunctionRecord, NamespaceRecord, transition
from fnkit.platform.model.routing import DeploymentFailed
from fnkit.toolchains.resolution import Toolchains

INTERNAL_ERROR: Final = "internal error"  # recorded for deployments without code and for faults of the platform
OLD_VERSION_SECONDS: Final = 24 * 3600  # published: the old version serves for 24 h after a failed deployment
_NANOSECONDS_PER_SECOND: Final = 10**9
_MAX_CONCURRENT_BUILDS: Final = max(2, os.cpu_count() or 1)
_LEVELS_WITH_SHARED_FILES: Final = ("cgroup", "namespaces", "kubernetes")  # docs/isolation.md
_logger = logging.getLogger(__name__)


class _DeploymentFailed(Exception):
    """The deployment failed. The message becomes the function's ``error_message``."""


@dataclass(frozen=True, slots=True)
class _Build:
    """A directory with code, and the key of its dependencies (see ``Deployment``)."""

    code: str
    dependency_key: str
    edited: tuple[str, ...] = ()
    edits: str = ""


@dataclass(frozen=True, slots=True)
class _Edit:
    """Changes of the serving deployment, and where the result of their deployment goes."""

    files: tuple[EditedFile, ...]
    tags: tuple[str, ...]
    archive: ArchiveEdit | None
    serving: Deployment
    result: asyncio.Future[EditResult]


class Deployments:
    """The deployments in progress, at most one per function."""

    def __init__(
        self,
        context: ControlContext,
        link: DataPlaneLink,
        toolchains: Toolchains,
        garbage_collector: GarbageCollector,
        programs: Programs,
        restarts: Restarts,
    ) -> None:
        self._context = context
        self._link = link
        self._toolchains = toolchains
        self._garbage_collector = garbage_collector
        self._programs = programs
        self._restarts = restarts
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._executor = ThreadPoolExecutor(max_workers=_MAX_CONCURRENT_BUILDS, thread_name_prefix="build")

    def prepare(self, record: FunctionRecord) -> FunctionRecord:
        """Return the record in status ``pending`` with the next generation. The caller stores it."""
        return transition(
            record,
            Status.PENDING,
            generation=record.generation + 1,
            error_message=None,
            build_message=None,
            updated_at=self._context.clock.now_ns(),
        )

    def repair(self, record: FunctionRecord) -> FunctionRecord | None:
        """Return the record to deploy again if the serving deployment lacks its code or a secret, else ``None``.

        A secret that still cannot be decrypted then becomes the function's error. Code outside this data directory
        counts as missing: the database was restored from another directory's backup.
        """
        namespace = self._context.store.namespaces.get(record.namespace_id)
        if record.serving is None or namespace is None or record.status is Status.PENDING:
            return None
        places = [Path(one) for one in (record.serving.code, record.serving.edits) if one]
        if any(one.parent != self._context.layout.deployments_dir or not one.is_dir() for one in places):
            return self.prepare(msgspec.structs.replace(record, serving=None))
        try:
            merge_variables(self._context, namespace, record, record.serving)
        except PlatformError:
            return self.prepare(record)
        return None

    def start(self, record: FunctionRecord) -> None:
        """Build and start a stored, pending record in the background. Cancel the function's older deployment."""
        self._start(record, None)

    def _start(self, record: FunctionRecord, edit: _Edit | None) -> asyncio.Task[None]:
        self.cancel(record.id)
        task = self._context.tasks.start(self._run(record, edit), f"deploy of {record.id}@{record.generation}")
        self._tasks[record.id] = task
        task.add_done_callback(lambda done: self._on_finished(record.id, done))
        return task

    def can_edit(self, record: FunctionRecord) -> bool:
        """Return whether files of the serving deployment can be edited, instead of building an archive."""
        return (
            record.serving is not None
            and record.status is Status.READY
            and record.archive == (record.serving.archive or None)
            and record.settings == record.serving.settings
            and self._context.settings.engine == "local"
            and _language(record) in EDITABLE_LANGUAGES
            and (not record.serving.edited or self._link.can_replace_files)
        )

    async def edit(
        self,
        record: FunctionRecord,
        files: tuple[EditedFile, ...],
        tags: tuple[str, ...],
        archive: ArchiveEdit | None = None,
    ) -> EditResult:
        """Deploy a stored, pending record with changes of its serving code, and return when it serves.

        Args:
            record: A record for which ``can_edit`` was true before it became pending.
            files: The changes.
            tags: The function's tags when the code serves.
            archive: The archive that has the changed code, which is stored when the code serves.
        """
        if record.serving is None:
            raise AssertionError("there is something to edit")
        began = time.monotonic()
        result: asyncio.Future[EditResult] = asyncio.get_running_loop().create_future()
        task = self._start(record, _Edit(files, tags, archive, record.serving, result))
        if archive is not None:
            task.add_done_callback(lambda _: archive.discard())
        await asyncio.wait([task])
        outcome = result.result() if result.done() else EditResult(error="a newer deployment has replaced this one")
        return msgspec.structs.replace(outcome, milliseconds=round((time.monotonic() - began) * 1000, 3))

    def cancel(self, function_id: str) -> None:
        """Cancel the deployment or the restart of a function, if any is in progress."""
        self._restarts.cancel(function_id)
        if (task := self._tasks.pop(function_id, None)) is not None:
            task.cancel()

    def close(self) -> None:
        """Shut down the build threads without waiting. The tasks must have been cancelled before."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _on_finished(self, function_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(function_id) is task:
            del self._tasks[function_id]

    async def _run(self, record: FunctionRecord, edit: _Edit | None) -> None:
        log = self._build_log(record)
        try:
            if edit is None:
                deployment = await self._build_deployment(record, log)
            else:
                deployment = await self._edit_deployment(record, edit, log)
            import_error = await self._start_instance(record, deployment, log, edit)
            if edit is not None:
                edit.result.set_result(EditResult(import_error=import_error))
        except _DeploymentFailed as failure:
            text = str(failure)
            if edit is not None:
                await retry_until_written(lambda: self._undo_edit(record))
                edit.result.set_result(EditResult(error=text))
                return
            await retry_until_written(lambda: self._mark_failed(record, text))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.write(f"Internal error of the platform: {error}")
            await retry_until_written(lambda: self._mark_failed(record, INTERNAL_ERROR))
            raise

    async def _edit_deployment(self, record: FunctionRecord, edit: _Edit, log: BuildLog) -> Deployment:
        """Return the deployment of the serving code with changes."""
        serving = edit.serving
        target = self._context.layout.deployments_dir / f"{record.id}-{record.generation}"
        is_python = _language(record) == "Python"
        is_written_by_instances = is_python and self._link.can_replace_files
        job = EditJob(
            code=Path(serving.edits or serving.code) if is_written_by_instances else Path(serving.code),
            target=target,
            files=edit.files,
            uid=record.uid,
            is_shared=self._link.isolation in _LEVELS_WITH_SHARED_FILES,
            is_writable=record.uid != 0 and not is_python,
            only_edited=serving.edited if is_written_by_instances else None,
        )
        # Shielded: the thread cannot be stopped, and what it makes is removed when it has ended.
        editing = asyncio.get_running_loop().run_in_executor(self._executor, apply_edit, job)
        try:
            await asyncio.shield(editing)
        except asyncio.CancelledError:
            await asyncio.gather(editing, return_exceptions=True)
            self._garbage_collector.remove(target)
            raise
        except BuildFailed as failure:
            log.write(failure.detail)
            raise _DeploymentFailed(failure.detail) from None
        except OSError as error:
            log.write(f"Editing the code failed: {error.strerror or error}")
            raise _DeploymentFailed(INTERNAL_ERROR) from None
        archive = edit.archive.blob.sha256 if edit.archive is not None else ""
        deployment = msgspec.structs.replace(serving, generation=record.generation, archive=archive)
        if not is_written_by_instances:
            return msgspec.structs.replace(deployment, code=str(target))
        edited = {*serving.edited, *(file.path for file in edit.files)}
        return msgspec.structs.replace(deployment, edited=tuple(sorted(edited)), edits=str(target))

    async def _build_deployment(self, record: FunctionRecord, log: BuildLog) -> Deployment:
        # An upload may have completed since the record was stored, and the last complete upload counts.
        newest = self._context.store.functions.get(record.id)
        archive = newest.archive if newest else None
        is_edited = newest is not None and newest.serving is not None and not newest.serving.archive
        if archive is None and not is_edited:
            log.write("The function has no code: nothing was uploaded.")
            raise _DeploymentFailed(INTERNAL_ERROR)
        try:
            toolchain = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._toolchains.resolve, record.settings.runtime
            )
            interpreter = toolchain.interpreter.path
            self._programs.prestart(record, interpreter)  # beside the build
            built = self._find_reusable_build(record, archive or "")
            if built is None and not archive:
                log.write("The edited code is lost, and no archive has it.")
                raise _DeploymentFailed(INTERNAL_ERROR)
            built = built or await self._build_and_count(record, archive or "", interpreter, log)
        except BuildFailed as failure:
            log.write(failure.detail)
            raise _DeploymentFailed(failure.message) from None
        except OSError as error:
            log.write(f"Unpacking the archive failed: {error.strerror or error}")
            raise _DeploymentFailed(INTERNAL_ERROR) from None
        except PlatformError as error:
            log.write(f"{error.message} {error.hint or ''}")
            raise _DeploymentFailed(error.message) from None
        if toolchain.warning:
            log.write(toolchain.warning)
        return Deployment(
            generation=record.generation,
            settings=record.settings,
            code=built.code,
            interpreter=interpreter,
            archive=archive or "",
            dependency_key=built.dependency_key,
            edited=built.edited,
            edits=built.edits,
        )

    def _find_reusable_build(self, record: FunctionRecord, archive: str) -> _Build | None:
        """Return what the serving deployment runs if it was built from this archive for this runtime.

        If only settings changed, nothing needs to be built.
        """
        serving = record.serving
        if serving is None or (serving.archive, serving.settings.runtime) != (archive, record.settings.runtime):
            return None
        if (
            _language(record) in LANGUAGES_WITH_COMPILED_HANDLER
            and serving.settings.handler != record.settings.handler
        ):
            return None
        places = [one for one in (serving.code, serving.edits) if one]
        if not all(os.path.isdir(one) for one in places):  # noqa: PTH112  a str
            return None
        return _Build(serving.code, serving.dependency_key, serving.edited, serving.edits)

    async def _build_and_count(
        self, record: FunctionRecord, archive: str, interpreter: str, log: BuildLog
    ) -> _Build:
        began = time.monotonic()
        result = "failed"
        try:
            target = self._context.layout.deployments_dir / f"{record.id}-{record.generation}"
            built = await self._build(record, archive, interpreter, log, target)
            result = "succeeded"
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        finally:
            self._context.counters.builds[result].observe(time.monotonic() - began)
        return built

    async def _build(
        self, record: FunctionRecord, archive: str, interpreter: str, log: BuildLog, target: Path
    ) -> _Build:
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        with await loop.run_in_executor(self._executor, self._context.blobs.open, archive) as stream:
            job = BuildJob(
                runtime=record.settings.runtime,
                handler=record.settings.handler,
                archive=stream,
                target=target,
                uid=record.uid,
                dependencies=self._dependency_store(record.id),
                interpreter=interpreter,
                cache=self._context.layout.caches_dir / record.id,
                libraries=libraries_directory(os.environ),
                limits=BuildLimits(seconds=self._context.settings.build_timeout),
                log=log,
                progress=lambda step: _call_on_loop(loop, lambda: self._show_build_step(record, step)),
                stop=stop,
            )
            building = loop.run_in_executor(self._executor, build, job)
            try:
                key = await asyncio.shield(building)
            except asyncio.CancelledError:
                # The thread still reads the archive and writes to the directory. Wait for it before closing the
                # one and removing the other.
                stop.set()
                await asyncio.gather(building, return_exceptions=True)
                self._garbage_collector.remove(target)
                raise
        return _Build(str(target), key)

    def _dependency_store(self, function_id: str) -> DependencyStore | None:
        """Return the kept dependencies of a function, ``None`` where instances could change the files of others."""
        if self._link.isolation not in _LEVELS_WITH_SHARED_FILES:
            return None
        return DependencyStore(self._context.layout.dependencies_dir, function_id)

    async def _start_instance(
        self, record: FunctionRecord, deployment: Deployment, log: BuildLog, edit: _Edit | None
    ) -> str:
        """Start the deployment. Return why its handler could not be imported, empty if it could."""
        namespace = self._context.store.namespaces.get(record.namespace_id)
        if namespace is None:
            return ""
        try:
            program = await self._programs.make(namespace, record, deployment)
            if edit is None:
                self._show_build_step(record, None)
            route = build_route(self._context, program, namespace, record, deployment)
        except PlatformError as failure:
            log.write(f"{failure.message} {failure.hint or ''}")
            await retry_until_written(lambda: self._programs.on_failed(record, deployment))
            raise _DeploymentFailed(failure.message) from None
        outcome = await self._link.start_deployment(route)
        if isinstance(outcome, DeploymentFailed):
            log.write(f"Starting an instance failed: {outcome.message}")
            await retry_until_written(lambda: self._programs.on_failed(record, deployment))
            raise _DeploymentFailed(outcome.message)
        started = msgspec.structs.replace(deployment, import_error=outcome.import_error)
        await retry_until_written(lambda: self._mark_ready(record, started, edit))
        if edit is None or not deployment.edited:
            self._programs.on_ready(namespace, record, deployment)
        elif deployment.archive:
            publishing = self._publish_edited(namespace, record, deployment, log)
            self._context.tasks.start(publishing, f"image of {record.id}@{record.generation}")
        return outcome.import_error

    async def publish_missing(self) -> None:
        """Make the images of serving deployments that run without one and have none."""
        store = self._context.store
        await self._programs.publish_missing()
        for record in list(store.functions.all(serving=1)):
            serving, namespace = record.serving, store.namespaces.get(record.namespace_id)
            if serving is None or namespace is None or not (serving.edited and serving.archive):
                continue
            if not store.images.count({"function_id": record.id, "version": serving.generation}):
                await self._publish_edited(namespace, record, serving, self._build_log(record))

    async def _publish_edited(
        self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment, log: BuildLog
    ) -> None:
        """Build the archive of edited code for its image: the edited files are in no directory with the others."""
        target = self._context.layout.deployments_dir / f".{record.id}-{deployment.generation}.image"
        try:
            built = await self._build(record, deployment.archive, deployment.interpreter, log, target)
            whole = msgspec.structs.replace(deployment, code=built.code, edited=(), edits="")
            await self._programs.publish(namespace, record, whole)
        except (BuildFailed, PlatformError, OSError) as error:  # the function serves without an image
            _logger.warning("No image of %s: %s", record.id, error)
        finally:
            self._garbage_collector.remove(target)

    def _build_log(self, record: FunctionRecord) -> BuildLog:
        folder = self._context.layout.logs_dir / record.id
        return BuildLog(folder, record.generation, lambda: format_microseconds(self._context.clock.now_ns()))

    def _mark_ready(self, record: FunctionRecord, deployment: Deployment, edit: _Edit | None) -> None:
        now_ns = self._context.clock.now_ns()
        if edit is not None and edit.archive is not None:
            edit.archive.commit()
        changed = self._update_record(
            record,
            lambda current: transition(
                current,
                Status.READY,
                ready_at=now_ns if current.ready_at is None else current.ready_at,
                build_message=None,
                serving=deployment,
                expires_at=None,
                tags=current.tags if edit is None else edit.tags,
                archive=_archive_after(current, record, deployment, edit),
            ),
        )
        if edit is not None:  # also the new one, if a newer deployment has replaced this one
            for archive in {record.archive, deployment.archive or None}:
                self._garbage_collector.remove_archive(archive)
        if changed:
            self._garbage_collector.remove_old_builds(record, deployment, record.settings.timeout_seconds)

    def _undo_edit(self, record: FunctionRecord) -> None:
        """Let the function be ready again with the code that serves: nothing of it has changed."""
        self._update_record(record, lambda current: transition(current, Status.READY, build_message=None))
        current = self._context.store.functions.get(record.id)
        if current is not None and current.serving is not None:
            self._garbage_collector.remove_old_builds(record, current.serving, 0.0)

    def _mark_failed(self, record: FunctionRecord, message: str) -> None:
        deadline = self._context.clock.now_ns() + OLD_VERSION_SECONDS * _NANOSECONDS_PER_SECOND
        failed = self._update_record(
            record,
            lambda current: transition(
                current,
                Status.ERROR,
                error_message=message,
                build_message=None,
                expires_at=(current.expires_at or deadline) if current.serving else None,
            ),
        )
        current = self._context.store.functions.get(record.id)
        if failed and current is not None:
            self._garbage_collector.remove_old_builds(record, current.serving, 0.0)
            self._restarts.start_if_missing(current)

    def _show_build_step(self, record: FunctionRecord, step: str | None) -> None:
        with suppress(sqlite3.OperationalError):  # losing an intermediate step is harmless
            self._update_record(record, lambda current: msgspec.structs.replace(current, build_message=step))

    def _update_record(self, record: FunctionRecord, change: Callable[[FunctionRecord], FunctionRecord]) -> bool:
        """Change the stored record, unless a newer generation or a deletion superseded this deployment.

        Args:
            record: The record that this deployment was started with.
            change: Returns the new record, given the stored one.

        Returns:
            Whether the record was changed.
        """
        store = self._context.store
        with store.transaction():
            current = store.functions.get(record.id)
            if current is None or current.generation != record.generation or current.status is not Status.PENDING:
                return False
            changed = change(current)
            store.functions.update(msgspec.structs.replace(changed, updated_at=self._context.clock.now_ns()))
        return True


def _archive_after(
    current: FunctionRecord, record: FunctionRecord, deployment: Deployment, edit: _Edit | None
) -> str | None:
    """Return the archive that a function has after a deployment: an upload meanwhile is for the next one."""
    if edit is None or (edit.archive is not None and current.archive != record.archive):
        return current.archive
    return deployment.archive or None


def _language(record: FunctionRecord) -> str:
    runtime = find_runtime(record.settings.runtime)
    return runtime.language if runtime is not None else ""


def _call_on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call ``callback`` on the event loop from another thread. Do nothing if the loop is closed."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
