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

from fnkit.platform.engine.blanks import Blanks
from fnkit.platform.engine.cgroups import ControlGroups, InstanceGroups
from fnkit.platform.engine.deployment_zygote import DeploymentZygote
from fnkit.platform.engine.forking import Forker
from fnkit.platform.engine.instance import Instance, InstanceState
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.engine.newborn import fork_instance
from fnkit.platform.engine.zygote import Zygote
from fnkit.platform.log_lines import Stream

__all__ = ["Nursery"]

_GROUP_TRIES: Final = 50
_ZYGOTE_TRIES: Final = 3
_GROUP_SECONDS: Final = 0.1


class _Child(Protocol):
    """A process requested from a zygote: a worker, or the zygote of a deployment."""

    @property
    def zygote(self) -> Forker:
        """The zygote that it was requested from."""

    @property
    def groups(self) -> InstanceGroups | None:
        """Its cgroups."""

    @property
    def home(self) -> str | None:
        """Its directory on the machine's disk, if it has one."""

    def exited(self, status: int | None) -> None:
        """Note that it was reaped, or that its zygote has ended (``None``)."""


class Nursery:
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
        self._folder = runtime_directory
        self._disks = disks_directory
        shutil.rmtree(disks_directory, ignore_errors=True)  # left by a data plane that was killed
        self._logs = logs
        self._blanks = Blanks(pool_size, lambda interpreter: self._fork(self._zygote(interpreter)))
        self._zygotes: dict[str, Zygote] = {}
        self._children: dict[int, _Child] = {}
        self._lost: Callable[[Forker], None] = lambda _zygote: None
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def warm(self, interpreters: Iterable[str]) -> None:
        """Start the zygotes of these interpreters ahead of use."""
        for interpreter in interpreters:
            self.refill(interpreter)

    async def take(self, interpreter: str) -> Instance:
        """Return a pre-warmed worker of this interpreter, or a new one.

        Raises:
            OSError: A worker could not be forked. A zygote that ends during the fork is first replaced.
        """
        worker = self._blanks.take(interpreter)
        if worker is not None:
            return worker
        for _ in range(_ZYGOTE_TRIES - 1):
            with contextlib.suppress(ChildProcessError):
                return await self._fork(self._zygote(interpreter))
        return await self._fork(self._zygote(interpreter))

    async def take_preloaded(self, zygote: DeploymentZygote) -> Instance:
        """Return a fork of this deployment's zygote.

        Raises:
            OSError: The zygote has ended.
        """
        spare, zygote.spare = zygote.spare, None
        if spare is not None and spare.is_blank:
            return zygote.claim(spare)
        return zygote.claim(await self._fork(zygote, owner=zygote.owner))

    async def add_spare(self, zygote: DeploymentZygote) -> None:
        """Fork a worker of this zygote ahead of use."""
        # Joining cgroups takes longer than the rest of a start.
        if not zygote.wants_forks() or _is_blank(zygote.spare):
            return
        with contextlib.suppress(OSError):
            spare = await self._fork(zygote, owner=zygote.owner)
            if not zygote.wants_forks() or _is_blank(zygote.spare):
                spare.kill("no longer needed")
            else:
                zygote.spare = spare

    def tell_of_losses(self, lost: Callable[[Forker], None]) -> None:
        """Call ``lost`` with each zygote that ends by itself."""
        self._lost = lost

    def new_deployment_zygote(
        self, interpreter: str, on_lines: Callable[[Stream, Iterable[bytes]], None], owner: int
    ) -> DeploymentZygote:
        """Create the zygote of a deployment, without starting it.

        Args:
            interpreter: The interpreter whose zygote is its parent.
            on_lines: Receives what its imports print.
            owner: The user of the deployment; 0 if it is the platform's own.
        """
        parent = self._zygote(interpreter)
        self._numbers += 1
        number = self._numbers
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        zygote = DeploymentZygote(self._loop, parent, number, groups, self, on_lines, owner)
        self._children[number] = zygote
        return zygote

    def forget_unforked(self, zygote: DeploymentZygote) -> None:
        """Clean up after a deployment zygote that did not start.

        If it was never requested from its parent, no message reports its end.
        """
        if not zygote.zygote.holds(zygote.number):
            self._clear(zygote.number, None)

    def refill(self, interpreter: str) -> None:
        """Fill the pool of this interpreter again."""
        self._blanks.refill(interpreter)

    def _zygote(self, interpreter: str) -> Zygote:
        zygote = self._zygotes.get(interpreter)
        if zygote is None:
            root = self._folder / f"root-{len(self._zygotes)}"
            zygote = self._zygotes[interpreter] = Zygote(self._loop, interpreter, self.level, root, self)
        return zygote

    async def _fork(self, zygote: Forker, *, owner: int = 0) -> Instance:
        self._numbers += 1
        number = self._numbers
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        instance = Instance(number, zygote, groups, self._logs)
        self._children[number] = instance
        try:
            await fork_instance(instance, owner)
        except OSError:
            self._clear(number, None)
            raise
        if zygote.closed or instance.state is InstanceState.ENDED:
            self._clear(number, None)
            raise ChildProcessError(errno.ECHILD, "the zygote ended while it forked")
        return instance

    def disk(self, child: Instance | DeploymentZygote) -> Path:
        """Create the directory that becomes ``/tmp`` and the working directory of an instance with its own root."""
        directory = self._disks / child.name
        directory.mkdir(mode=0o700, parents=True)
        child.home = str(directory)
        for name, mode in (("tmp", 0o1777), ("app", 0o755), ("app/function", 0o755)):
            (directory / name).mkdir()
            (directory / name).chmod(mode)  # mkdir's mode is subject to the umask
        return directory

    def home(self, instance: Instance | DeploymentZygote, *, on_disk: bool = False) -> Path:
        """Create the working directory of an instance that has no root of its own."""
        directory = (self._disks if on_disk else self._folder) / f"home-{instance.name}"
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        instance.home = str(directory)
        return directory

    # ForkObserver

    def instance_exited(self, number: int, status: int) -> None:
        """Clean up after an instance that has ended."""
        self._clear(number, status)

    def instance_not_forked(self, number: int, error: int) -> None:
        """Clean up after a failed fork."""
        instance = self._children.get(number)
        if isinstance(instance, Instance):
            instance.reason = f"fork failed: {os.strerror(error) if error else errno.errorcode.get(error, '?')}"
        self._clear(number, None)

    def zygote_lost(self, zygote: Forker) -> None:
        """Clean up after a zygote that has ended. The next start starts another one."""
        if self._zygotes.get(zygote.interpreter) is zygote:
            del self._zygotes[zygote.interpreter]
        self._clear_forks(zygote)
        self._lost(zygote)

    def _clear_forks(self, zygote: Forker) -> None:
        """Clean up after everything that this zygote has forked, which has ended with it."""
        for number, child in list(self._children.items()):
            if child.zygote is zygote:
                self._clear(number, None)

    def _clear(self, number: int, status: int | None) -> None:
        child = self._children.pop(number, None)
        if child is None:
            return
        if isinstance(child, Instance) and child.state is InstanceState.BLANK:
            child.state = InstanceState.ENDED
            self._blanks.ended(child)
        child.exited(status)
        if isinstance(child, Instance) and child.ended_by_others and not child.was_ready:
            self._blanks.distrust(child.zygote.interpreter)
        if isinstance(child, DeploymentZygote):
            self._clear_forks(child)  # closed zygotes do not report the end of their forks
        # The kernel removes a group only when its last process is gone, which may be after the reaping of the
        # first.
        if child.groups is not None:
            self._loop.call_later(_GROUP_SECONDS, self._remove_groups, child.groups, _GROUP_TRIES)
        if child.home is not None:
            self._loop.run_in_executor(None, _remove_folder, child.home)

    def _remove_groups(self, groups: InstanceGroups, tries: int) -> None:
        if not self._closed and not groups.remove() and tries:
            self._loop.call_later(_GROUP_SECONDS, self._remove_groups, groups, tries - 1)

    def close(self) -> None:
        """End every zygote, and every instance with it."""
        self._closed = True
        self._blanks.close()
        for zygote in list(self._zygotes.values()):
            zygote.close()
            self.zygote_lost(zygote)
        if self._groups is not None:
            self._groups.close()


def _is_blank(instance: Instance | None) -> bool:
    return instance is not None and instance.is_blank


def _remove_folder(path: str) -> None:
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
