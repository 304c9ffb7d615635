"""Creates workers: one zygote per interpreter and a pool of pre-warmed workers.

A worker serves a single deployment. A pre-warmed worker has joined its cgroups and mounted its disk, which takes
milliseconds and depends on no deployment, so that a start only does what depends on the function.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient
from fnkit.platform.data_plane.workers.instance import Instance, WorkerState
from fnkit.platform.data_plane.workers.isolation import ControlGroups, InstanceGroups, Level
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.prewarmed import WarmPool, fork_worker
from fnkit.platform.data_plane.workers.zygote import ForkServerClient, InterpreterZygoteClient
from fnkit.platform.model.log_record import LogStream

__all__ = ["WorkerFactory"]

_GROUP_REMOVAL_ATTEMPTS: Final = 50
_ZYGOTE_ATTEMPTS: Final = 3
_GROUP_REMOVAL_INTERVAL: Final = 0.1


class _ForkedProcess(Protocol):
    """A process requested from a zygote: a worker, or the zygote of a deployment."""

    @property
    def zygote(self) -> ForkServerClient:
        """The zygote that it was requested from."""

    @property
    def groups(self) -> InstanceGroups | None:
        """Its cgroups."""

    @property
    def host_directory(self) -> str | None:
        """Its directory on the machine's disk, if it has one."""

    def on_exit(self, status: int | None) -> None:
        """Note that it was reaped, or that its zygote has ended (``None``)."""


class WorkerFactory:
    """Forks workers and cleans up after them.

    Args:
        level: The isolation level.
        groups: The cgroups, at the level that uses them.
        runtime_directory: Private to this process and short-lived; holds roots and home directories.
        disks_directory: Holds the disks of functions with ``sandbox: v1``. On a disk, and private to this process.
        logs: Receives the output of instances.
        pool_size: The number of pre-warmed workers for each interpreter.
    """

    def __init__(
        self,
        level: Level,
        groups: ControlGroups | None,
        runtime_directory: Path,
        disks_directory: Path,
        logs: LogWriter,
        *,
        pool_size: int,
    ) -> None:
        self.level = level
        self._groups = groups
        self._runtime_directory = runtime_directory
        self._disks_directory = disks_directory
        shutil.rmtree(disks_directory, ignore_errors=True)  # left by a data plane that was killed
        self._logs = logs
        self._warm_pool = WarmPool(pool_size, lambda interpreter: self._fork(self._get_zygote(interpreter)))
        self._zygotes: dict[str, InterpreterZygoteClient] = {}
        self._children: dict[int, _ForkedProcess] = {}
        self._zygote_lost_callback: Callable[[ForkServerClient], None] = lambda _zygote: None
        self._last_number = 0
        self._loop = asyncio.get_running_loop()
        self._is_closed = False

    def prestart(self, interpreters: Iterable[str]) -> None:
        """Start the zygotes of these interpreters ahead of use."""
        for interpreter in interpreters:
            self.refill(interpreter)

    async def acquire(self, interpreter: str) -> Instance:
        """Return a pre-warmed worker of this interpreter, or a new one.

        Raises:
            OSError: A worker could not be forked. A zygote that ends during the fork is first replaced.
        """
        worker = self._warm_pool.acquire(interpreter)
        if worker is not None:
            return worker
        for _ in range(_ZYGOTE_ATTEMPTS - 1):
            with contextlib.suppress(ChildProcessError):
                return await self._fork(self._get_zygote(interpreter))
        return await self._fork(self._get_zygote(interpreter))

    async def acquire_preloaded(self, zygote: DeploymentZygoteClient) -> Instance:
        """Return a fork of this deployment's zygote.

        Raises:
            OSError: The zygote has ended.
        """
        spare, zygote.prewarmed = zygote.prewarmed, None
        if spare is not None and spare.is_prewarmed:
            return zygote.claim(spare)
        return zygote.claim(await self._fork(zygote, owner=zygote.owner_uid))

    async def prewarm_fork(self, zygote: DeploymentZygoteClient) -> None:
        """Fork a worker of this zygote ahead of use."""
        # Joining cgroups takes longer than the rest of a start.
        if not zygote.can_fork() or _is_prewarmed(zygote.prewarmed):
            return
        with contextlib.suppress(OSError):
            spare = await self._fork(zygote, owner=zygote.owner_uid)
            if not zygote.can_fork() or _is_prewarmed(zygote.prewarmed):
                spare.kill("no longer needed")
            else:
                zygote.prewarmed = spare

    def on_zygote_lost(self, callback: Callable[[ForkServerClient], None]) -> None:
        """Call ``lost`` with each zygote that ends by itself."""
        self._zygote_lost_callback = callback

    def create_deployment_zygote(
        self, interpreter: str, on_lines: Callable[[LogStream, Iterable[bytes]], None], owner: int
    ) -> DeploymentZygoteClient:
        """Create the zygote of a deployment, without starting it.

        Args:
            interpreter: The interpreter whose zygote is its parent.
            on_lines: Receives what its imports print.
            owner: The user of the deployment; 0 if it is the platform's own.
        """
        parent = self._get_zygote(interpreter)
        self._last_number += 1
        number = self._last_number
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        zygote = DeploymentZygoteClient(self._loop, parent, number, groups, self, on_lines, owner)
        self._children[number] = zygote
        return zygote

    def discard(self, zygote: DeploymentZygoteClient) -> None:
        """Clean up after a deployment zygote that did not start.

        If it was never requested from its parent, no message reports its end.
        """
        if not zygote.zygote.is_alive(zygote.number):
            self._on_exit(zygote.number, None)

    def refill(self, interpreter: str) -> None:
        """Fill the pool of this interpreter again."""
        self._warm_pool.refill(interpreter)

    def _get_zygote(self, interpreter: str) -> InterpreterZygoteClient:
        zygote = self._zygotes.get(interpreter)
        if zygote is None:
            root = self._runtime_directory / f"root-{len(self._zygotes)}"
            zygote = self._zygotes[interpreter] = InterpreterZygoteClient(
                self._loop, interpreter, self.level, root, self
            )
        return zygote

    async def _fork(self, zygote: ForkServerClient, *, owner: int = 0) -> Instance:
        self._last_number += 1
        number = self._last_number
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        instance = Instance(number, zygote, groups, self._logs)
        self._children[number] = instance
        try:
            await fork_worker(instance, owner)
        except OSError:
            self._on_exit(number, None)
            raise
        if zygote.is_closed or instance.state is WorkerState.ENDED:
            self._on_exit(number, None)
            raise ChildProcessError(errno.ECHILD, "the zygote ended while it forked")
        return instance

    def create_disk(self, child: Instance | DeploymentZygoteClient) -> Path:
        """Create the directory that becomes ``/tmp`` and the working directory of an instance with its own root."""
        directory = self._disks_directory / child.name
        directory.mkdir(mode=0o700, parents=True)
        child.host_directory = str(directory)
        for name, mode in (("tmp", 0o1777), ("app", 0o755), ("app/function", 0o755)):
            (directory / name).mkdir()
            (directory / name).chmod(mode)  # mkdir's mode is subject to the umask
        return directory

    def create_home(self, instance: Instance | DeploymentZygoteClient, *, on_disk: bool = False) -> Path:
        """Create the working directory of an instance that has no root of its own."""
        directory = (self._disks_directory if on_disk else self._runtime_directory) / f"home-{instance.name}"
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        instance.host_directory = str(directory)
        return directory

    # ForkObserver

    def instance_exited(self, number: int, status: int) -> None:
        """Clean up after an instance that has ended."""
        self._on_exit(number, status)

    def fork_failed(self, number: int, error: int) -> None:
        """Clean up after a failed fork."""
        instance = self._children.get(number)
        if isinstance(instance, Instance):
            instance.reason = f"fork failed: {os.strerror(error) if error else errno.errorcode.get(error, '?')}"
        self._on_exit(number, None)

    def zygote_exited(self, zygote: ForkServerClient) -> None:
        """Clean up after a zygote that has ended. The next start starts another one."""
        if self._zygotes.get(zygote.interpreter) is zygote:
            del self._zygotes[zygote.interpreter]
        self._on_forks_lost(zygote)
        self._zygote_lost_callback(zygote)

    def _on_forks_lost(self, zygote: ForkServerClient) -> None:
        """Clean up after everything that this zygote has forked, which has ended with it."""
        for number, child in list(self._children.items()):
            if child.zygote is zygote:
                self._on_exit(number, None)

    def _on_exit(self, number: int, status: int | None) -> None:
        child = self._children.pop(number, None)
        if child is None:
            return
        if isinstance(child, Instance) and child.state is WorkerState.PREWARMED:
            child.state = WorkerState.ENDED
            self._warm_pool.on_exit(child)
        child.on_exit(status)
        if isinstance(child, Instance) and child.was_killed_externally and not child.was_ready:
            self._warm_pool.discard_all(child.zygote.interpreter)
        if isinstance(child, DeploymentZygoteClient):
            self._on_forks_lost(child)  # closed zygotes do not report the end of their forks
        # The kernel removes a group only when its last process is gone, which may be after the reaping of the
        # first.
        if child.groups is not None:
            self._loop.call_later(
                _GROUP_REMOVAL_INTERVAL, self._remove_groups, child.groups, _GROUP_REMOVAL_ATTEMPTS
            )
        if child.host_directory is not None:
            self._loop.run_in_executor(None, _remove_directory, child.host_directory)

    def _remove_groups(self, groups: InstanceGroups, tries: int) -> None:
        if not self._is_closed and not groups.remove() and tries:
            self._loop.call_later(_GROUP_REMOVAL_INTERVAL, self._remove_groups, groups, tries - 1)

    def close(self) -> None:
        """End every zygote, and every instance with it."""
        self._is_closed = True
        self._warm_pool.close()
        for zygote in list(self._zygotes.values()):
            zygote.close()
            self.zygote_exited(zygote)
        if self._groups is not None:
            self._groups.close()


def _is_prewarmed(instance: Instance | None) -> bool:
    return instance is not None and instance.is_prewarmed


def _remove_directory(path: str) -> None:
    """Remove a directory tree, including directories that a handler has made unreadable."""
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    with contextlib.suppress(OSError):
        for parent, names, _ in os.walk(path):
            for name in names:
                inner = Path(parent, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
