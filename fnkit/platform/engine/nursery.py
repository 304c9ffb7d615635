"""Where instances come from: one zygote per interpreter, and a few blank instances in hand.

A blank instance has joined its control groups and mounted its disk, which takes milliseconds and needs to know
nobody; taking one leaves only what depends on the function. It belonged to nobody before and is never reused.
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
    """What a zygote was asked for: an instance, or a deployment's own zygote."""

    @property
    def zygote(self) -> Forker:
        """Whose child it is."""

    @property
    def groups(self) -> InstanceGroups | None:
        """Its control groups."""

    @property
    def home(self) -> str | None:
        """Its folder, where it has no disk of its own."""

    def exited(self, status: int | None) -> None:
        """It is reaped."""


class Nursery:
    """Forks instances. runtime_folder is short-lived, private and ours (roots and homes lie in it).

    disks_folder: where the disks of ``sandbox: v1`` lie; on a disk, and ours alone.
    """

    def __init__(
        self,
        level: Level,
        groups: ControlGroups | None,
        runtime_folder: Path,
        disks_folder: Path,
        logs: LogWriter,
        *,
        blanks: int,
    ) -> None:
        self.level = level
        self._groups = groups
        self._folder = runtime_folder
        self._disks = disks_folder
        shutil.rmtree(disks_folder, ignore_errors=True)  # of a data plane that was killed
        self._logs = logs
        self._blanks = Blanks(blanks, lambda interpreter: self._fork(self._zygote(interpreter)))
        self._zygotes: dict[str, Zygote] = {}
        self._children: dict[int, _Child] = {}
        self._lost: Callable[[Forker], None] = lambda _zygote: None
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def warm(self, interpreters: Iterable[str]) -> None:
        """Start the zygotes of these interpreters before anybody waits for one."""
        for interpreter in interpreters:
            self.refill(interpreter)

    async def take(self, interpreter: str) -> Instance:
        """Return a blank instance of this interpreter, in hand or new. ``OSError`` when there can be none.

        A zygote that is killed while it forks is started again.
        """
        blank = self._blanks.take(interpreter)
        if blank is not None:
            return blank
        for _ in range(_ZYGOTE_TRIES - 1):
            with contextlib.suppress(ChildProcessError):
                return await self._fork(self._zygote(interpreter))
        return await self._fork(self._zygote(interpreter))

    async def take_preloaded(self, zygote: DeploymentZygote) -> Instance:
        """Return an instance of this deployment's zygote. ``OSError`` when the zygote is no more."""
        spare, zygote.spare = zygote.spare, None
        if spare is not None and spare.is_blank:
            return zygote.claim(spare)
        return zygote.claim(await self._fork(zygote, owner=zygote.owner))

    async def add_spare(self, zygote: DeploymentZygote) -> None:
        """Have one fork of it in hand: joining control groups takes longer than all else together."""
        if not zygote.wants_forks() or _is_blank(zygote.spare):
            return
        with contextlib.suppress(OSError):
            spare = await self._fork(zygote, owner=zygote.owner)
            if not zygote.wants_forks() or _is_blank(zygote.spare):
                spare.kill("not needed any more")
            else:
                zygote.spare = spare

    def tell_of_losses(self, lost: Callable[[Forker], None]) -> None:
        """Say to ``lost`` which zygotes ended by themselves."""
        self._lost = lost

    def new_deployment_zygote(
        self, interpreter: str, hear: Callable[[Stream, Iterable[bytes]], None], owner: int
    ) -> DeploymentZygote:
        """Return one that is not started yet; ``hear`` gets what its imports write, for the user ``owner``."""
        parent = self._zygote(interpreter)
        self._numbers += 1
        number = self._numbers
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        zygote = DeploymentZygote(self._loop, parent, number, groups, self, hear, owner)
        self._children[number] = zygote
        return zygote

    def forget_unforked(self, zygote: DeploymentZygote) -> None:
        """It came to nothing. Where it was never asked for, nobody will report its end."""
        if not zygote.zygote.holds(zygote.number):
            self._clear(zygote.number, None)

    def refill(self, interpreter: str) -> None:
        """One was taken: see to it that there are some in hand."""
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
        """Make the folder on disk that becomes ``/tmp`` and the working folder of an instance with a root."""
        folder = self._disks / child.name
        folder.mkdir(mode=0o700, parents=True)
        child.home = str(folder)
        for name, mode in (("tmp", 0o1777), ("app", 0o755), ("app/function", 0o755)):
            (folder / name).mkdir()
            (folder / name).chmod(mode)
        return folder

    def home(self, instance: Instance | DeploymentZygote, *, on_disk: bool = False) -> Path:
        """Make a working folder for an instance that has no root of its own."""
        folder = (self._disks if on_disk else self._folder) / f"home-{instance.name}"
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        instance.home = str(folder)
        return folder

    # What zygotes report

    def instance_exited(self, number: int, status: int) -> None:
        """See ``ForkObserver``."""
        self._clear(number, status)

    def instance_not_forked(self, number: int, error: int) -> None:
        """See ``ForkObserver``."""
        instance = self._children.get(number)
        if isinstance(instance, Instance):
            instance.reason = f"fork failed: {os.strerror(error) if error else errno.errorcode.get(error, '?')}"
        self._clear(number, None)

    def zygote_lost(self, zygote: Forker) -> None:
        """See ``ForkObserver``. The next instance starts another zygote."""
        if self._zygotes.get(zygote.interpreter) is zygote:
            del self._zygotes[zygote.interpreter]
        self._clear_forks(zygote)
        self._lost(zygote)

    def _clear_forks(self, zygote: Forker) -> None:
        """A zygote has ended, and with it what it forked."""
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
            self._clear_forks(child)  # one that we have closed ourselves does not say so
        if child.groups is not None:
            self._loop.call_later(_GROUP_SECONDS, self._remove_groups, child.groups, _GROUP_TRIES)
        if child.home is not None:
            self._loop.run_in_executor(None, _remove_folder, child.home)

    def _remove_groups(self, groups: InstanceGroups, tries: int) -> None:
        if not self._closed and not groups.remove() and tries:
            self._loop.call_later(_GROUP_SECONDS, self._remove_groups, groups, tries - 1)

    def close(self) -> None:
        """End every zygote and with them every instance."""
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
    """Remove it, with folders in it that a handler has locked: they belong to the user that we are."""
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    with contextlib.suppress(OSError):
        for folder, names, _ in os.walk(path):
            for name in names:
                inner = Path(folder, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
