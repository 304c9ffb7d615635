"""Creates workers: forks them from zygotes, hands them their settings, and cleans up after them.

There is one zygote per interpreter, started when it is first needed. Instances are forked from it, or from the
zygote of their deployment, which is itself a fork of the interpreter's zygote. A fork that waits for its settings
has joined its cgroups and mounted its disk, which takes milliseconds and depends on no deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fnkit.platform.data_plane.instance_connection import ConnectedInstance
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, fork_process
from fnkit.platform.data_plane.workers.instance import LocalInstance
from fnkit.platform.data_plane.workers.isolation import ControlGroups, InstanceGroups, Level
from fnkit.platform.data_plane.workers.program import WorkerProgram, local_program
from fnkit.platform.data_plane.workers.settings import StartupConfig
from fnkit.platform.data_plane.workers.zygote import ForkServerClient, InterpreterZygoteClient, Storage
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.model.log_record import LogStream
from fnkit.platform.model.routing import Route

_ZYGOTE_ATTEMPTS: Final = 3
_GROUP_REMOVAL_ATTEMPTS: Final = 50
_GROUP_REMOVAL_INTERVAL: Final = 0.1
_MIN_FREE_BYTES: Final = 8 * 1024 * 1024  # far more than a root directory needs that is not written to
_DISKS_IN_ZYGOTE: Final = "/run/fnkit/disk"  # fnkit/worker/sandbox/rootfs.py


class WorkerFactory:
    """Forks instances and deployment zygotes, and cleans up after them.

    Args:
        level: The isolation level.
        runtime_directory: Private to this process and short-lived; holds roots and home directories.
        disks_directory: Holds what instances write. On a disk, and private to this process. Emptied first.
        code_directory: Contains the code of all functions.
        logs: Receives the output of instances, and of imports in deployment zygotes.
        hard_cpu: Limit functions to their mVCPU, instead of using it as a weight only.

    Raises:
        OSError: The level needs cgroups, and they cannot be created here.
    """

    def __init__(
        self,
        level: Level,
        runtime_directory: Path,
        disks_directory: Path,
        code_directory: Path,
        logs: LogWriter,
        *,
        hard_cpu: bool = False,
    ) -> None:
        self.level = level
        self._loop = asyncio.get_running_loop()
        self._groups = ControlGroups() if level is Level.CGROUP else None
        self._runtime_directory = runtime_directory
        self._disks_directory = disks_directory
        self._code_directory = code_directory
        remove_tree(disks_directory)  # left by a data plane that was killed
        self._settings = StartupConfig(level, runtime_directory, disks_directory, code_directory, hard_cpu=hard_cpu)
        self._logs = logs
        self._zygotes: dict[tuple[str, tuple[str, ...]], InterpreterZygoteClient] = {}
        self._last_number = 0
        self._is_closed = False
        # One thread: the disk of a deployment zygote contains those of its forks.
        self._removals = ThreadPoolExecutor(1, "fnkit-removal")

    @property
    def storage(self) -> Storage:
        """Where the roots of instances are written to, as far as known from the zygotes that were started."""
        return min((zygote.storage for zygote in self._zygotes.values()), key=lambda storage: storage.value)

    async def fork(self, program: WorkerProgram) -> LocalInstance:
        """Fork a worker that runs this program.

        Raises:
            OSError: It could not be forked. A zygote that ends during the fork is first replaced.
        """
        for _ in range(_ZYGOTE_ATTEMPTS - 1):
            with contextlib.suppress(ChildProcessError):
                return await self._fork_instance(self._get_zygote(program), program)
        return await self._fork_instance(self._get_zygote(program), program)

    async def fork_preloaded(self, zygote: DeploymentZygoteClient) -> LocalInstance:
        """Fork an instance from the zygote of its deployment, or take the one that was forked ahead of use.

        Raises:
            OSError: The zygote has ended.
        """
        prewarmed, zygote.prewarmed = zygote.prewarmed, None
        if prewarmed is None or not prewarmed.is_prewarmed:
            prewarmed = await self._fork_instance(zygote, WorkerProgram(interpreter=zygote.interpreter))
        return zygote.claim(prewarmed)

    async def prewarm(self, zygote: DeploymentZygoteClient) -> None:
        """Fork an instance of this deployment ahead of use."""
        # Joining cgroups takes longer than the rest of a start.
        if not zygote.can_fork() or _is_prewarmed(zygote.prewarmed):
            return
        with contextlib.suppress(OSError):
            instance = await self._fork_instance(zygote, WorkerProgram(interpreter=zygote.interpreter))
            if not zygote.can_fork() or _is_prewarmed(zygote.prewarmed):
                instance.kill("no longer needed")
            else:
                zygote.prewarmed = instance

    def assign(self, instance: LocalInstance, route: Route, on_idle: Callable[[ConnectedInstance], None]) -> None:
        """Send an instance its settings: from now on it belongs to this deployment.

        Args:
            instance: An instance that waits for its settings.
            route: The deployment.
            on_idle: Called when the instance has completed a response.

        Raises:
            OSError: The settings could not be prepared. The instance is killed then.
        """
        try:
            settings = self._settings.encode_for_instance(route, instance.process, instance.program)
        except OSError:
            instance.kill("its settings could not be prepared")
            raise
        instance.assign(route.function_id, settings, on_idle)

    async def start_deployment_zygote(
        self, route: Route, excluded: frozenset[str]
    ) -> tuple[DeploymentZygoteClient, PreloadResult]:
        """Start the zygote of a deployment; its result may be that it must not be used.

        Args:
            route: The deployment.
            excluded: Modules that it must not import.

        Raises:
            OSError: It ended before it reported a result.
        """
        program = WorkerProgram(interpreter=local_program(route).interpreter)
        process = await self._fork_process(self._get_zygote(program), program, is_zygote=True)

        def on_lines(stream: LogStream, lines: Collection[bytes]) -> None:
            self._logs.write(route.function_id, process.name, "", stream, lines)

        zygote = DeploymentZygoteClient(self._loop, process, on_lines, self._settings.target_uid(route))
        try:
            result = await zygote.preload(self._settings.encode_for_zygote(route, process, excluded))
            if result.ready:
                await self.prewarm(zygote)
        except BaseException:
            zygote.close()
            raise
        return zygote, result

    def _get_zygote(self, program: WorkerProgram) -> InterpreterZygoteClient:
        if self._is_closed:
            raise ChildProcessError(errno.ECHILD, "the engine is closed")
        key = program.interpreter, program.directories
        zygote = self._zygotes.get(key)
        if zygote is None or zygote.is_closed:  # one that has ended is replaced
            name = f"root-{len(self._zygotes)}"
            self._disks_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._code_directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            settings = self._settings.encode_for_interpreter(name, program.directories)
            zygote = self._zygotes[key] = InterpreterZygoteClient(self._loop, program.interpreter, settings)
        return zygote

    async def _fork_instance(self, zygote: ForkServerClient, program: WorkerProgram) -> LocalInstance:
        owner = zygote.owner_uid if isinstance(zygote, DeploymentZygoteClient) else 0
        instance = LocalInstance(await self._fork_process(zygote, program, owner=owner), program, self._logs)
        await instance.connect()
        return instance

    async def _fork_process(
        self, zygote: ForkServerClient, program: WorkerProgram, *, owner: int = 0, is_zygote: bool = False
    ) -> ForkedProcess:
        self._last_number += 1
        name = f"{self._last_number:08x}"
        groups = self._groups.create(name) if self._groups is not None else None
        directory, path = self._locate_disk(zygote, name)
        try:
            if directory is not None:
                _create_disk(Path(directory), owner=owner, mode=0o711 if is_zygote else 0o700)
            process = await fork_process(
                zygote,
                self._last_number,
                groups,
                disk=path,
                is_zygote=is_zygote,
                owner=owner,
                source=program.source,
                program=self._settings.program_ahead(program, self._last_number),
            )
        except BaseException:
            self._clean_up(groups, directory)
            raise
        process.host_directory = directory
        process.exited.add_done_callback(lambda _: self._clean_up(groups, process.host_directory))
        return process

    def _locate_disk(self, zygote: ForkServerClient, name: str) -> tuple[str | None, str]:
        """Return the directory for the files of a process, and its path as the zygote sees it.

        There is none without a root of its own, nor while the disk is full: files are kept in memory then.
        """
        if not self.level.has_namespaces or not _has_space(self._disks_directory):
            return None, ""
        if not isinstance(zygote, DeploymentZygoteClient):
            directory = str(self._disks_directory / name)
            return directory, directory
        parent = zygote.process.host_directory
        return (f"{parent}/{name}", f"{_DISKS_IN_ZYGOTE}/{name}") if parent is not None else (None, "")

    def _clean_up(self, groups: InstanceGroups | None, host_directory: str | None) -> None:
        """Remove what belonged to a process that has ended."""
        # The kernel removes a group only when its last process is gone, which may be after the reaping of the
        # first.
        if groups is not None:
            self._loop.call_later(_GROUP_REMOVAL_INTERVAL, self._remove_groups, groups, _GROUP_REMOVAL_ATTEMPTS)
        if host_directory is not None:
            self._removals.submit(remove_tree, host_directory)

    def _remove_groups(self, groups: InstanceGroups, tries: int) -> None:
        if not self._is_closed and not groups.remove() and tries:
            self._loop.call_later(_GROUP_REMOVAL_INTERVAL, self._remove_groups, groups, tries - 1)

    def close(self) -> None:
        """End every zygote, and every instance with it."""
        self._is_closed = True
        for zygote in self._zygotes.values():
            zygote.close()
        if self._groups is not None:
            self._groups.close()


def _is_prewarmed(instance: LocalInstance | None) -> bool:
    return instance is not None and instance.is_prewarmed


def _has_space(directory: Path) -> bool:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize >= _MIN_FREE_BYTES


def _create_disk(directory: Path, *, owner: int, mode: int) -> None:
    directory.mkdir(mode)
    directory.chmod(mode)  # mkdir's mode is subject to the umask
    if owner:
        os.chown(directory, owner, owner)
