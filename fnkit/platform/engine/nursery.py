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
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fnkit.platform.engine.cgroups import ControlGroups, InstanceGroups
from fnkit.platform.engine.instance import Instance, InstanceState, forked_instance
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.logs import LogWriter
from fnkit.platform.engine.zygote import Zygote

__all__ = ["Nursery"]

_REFILL_SECONDS: Final = 0.01
_GROUP_TRIES: Final = 50
_ZYGOTE_TRIES: Final = 3
_GROUP_SECONDS: Final = 0.1


class Nursery:
    """Forks instances. runtime_folder is short-lived, private and ours (roots and homes lie in it)."""

    def __init__(
        self,
        level: Level,
        groups: ControlGroups | None,
        runtime_folder: Path,
        logs: LogWriter,
        *,
        blanks: int,
    ) -> None:
        self.level = level
        self._groups = groups
        self._folder = runtime_folder
        self._logs = logs
        self._blanks_wanted = blanks
        self._zygotes: dict[str, Zygote] = {}
        self._blanks: dict[str, deque[Instance]] = {}
        self._instances: dict[int, Instance] = {}
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling: set[str] = set()
        self._closed = False

    def warm(self, interpreters: Iterable[str]) -> None:
        """Start the zygotes of these interpreters before anybody waits for one."""
        for interpreter in interpreters:
            self.refill(interpreter)

    async def take(self, interpreter: str) -> Instance:
        """Return a blank instance of this interpreter, in hand or new. ``OSError`` when there can be none.

        A zygote that is killed while it forks is started again.
        """
        blanks = self._blanks.setdefault(interpreter, deque())
        while blanks:
            instance = blanks.popleft()
            if instance.state is InstanceState.BLANK:
                return instance
        for _ in range(_ZYGOTE_TRIES - 1):
            with contextlib.suppress(ChildProcessError):
                return await self._fork(interpreter)
        return await self._fork(interpreter)

    def refill(self, interpreter: str) -> None:
        """Fork blanks for the next ones, a moment later: whoever has just got one is answered first."""
        self._loop.call_later(_REFILL_SECONDS, self._refill, interpreter)

    def _refill(self, interpreter: str) -> None:
        blanks = self._blanks.setdefault(interpreter, deque())
        if self._closed or interpreter in self._refilling or len(blanks) >= self._blanks_wanted:
            return
        self._refilling.add(interpreter)
        task = self._loop.create_task(self._add_blanks(interpreter, blanks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _add_blanks(self, interpreter: str, blanks: deque[Instance]) -> None:
        try:
            while len(blanks) < self._blanks_wanted and not self._closed:
                blanks.append(await self._fork(interpreter))
        except OSError:
            return  # the next start tries again, and says why it cannot
        finally:
            self._refilling.discard(interpreter)

    async def _fork(self, interpreter: str) -> Instance:
        zygote = self._zygotes.get(interpreter)
        if zygote is None:
            root = self._folder / f"root-{len(self._zygotes)}"
            zygote = Zygote(self._loop, interpreter, self.level, root, self)
            self._zygotes[interpreter] = zygote
        self._numbers += 1
        number = self._numbers
        groups = self._groups.create(f"{number:08x}") if self._groups is not None else None
        try:
            instance = await forked_instance(number, zygote, groups, self._logs)
        except OSError:
            if groups is not None:
                groups.remove()
            raise
        self._instances[number] = instance
        if zygote.closed:  # it ended meanwhile, when this instance was not among those to be told
            self._clear(number, None)
            raise ChildProcessError(errno.ECHILD, "the zygote ended while it forked")
        return instance

    def home(self, instance: Instance) -> Path:
        """Make a working folder for an instance that has no disk of its own."""
        folder = self._folder / f"home-{instance.name}"
        folder.mkdir(mode=0o700)
        instance.home = str(folder)
        return folder

    # What zygotes report

    def instance_exited(self, number: int, status: int) -> None:
        """See ``ZygoteObserver``."""
        self._clear(number, status)

    def instance_not_forked(self, number: int, error: int) -> None:
        """See ``ZygoteObserver``."""
        instance = self._instances.get(number)
        if instance is not None:
            instance.reason = f"fork failed: {os.strerror(error) if error else errno.errorcode.get(error, '?')}"
        self._clear(number, None)

    def zygote_lost(self, zygote: Zygote) -> None:
        """See ``ZygoteObserver``. The next instance starts another zygote."""
        if self._zygotes.get(zygote.interpreter) is zygote:
            del self._zygotes[zygote.interpreter]
        for number, instance in list(self._instances.items()):
            if instance.zygote is zygote:
                self._clear(number, None)

    def _clear(self, number: int, status: int | None) -> None:
        instance = self._instances.pop(number, None)
        if instance is None:
            return
        instance.exited(status)
        if instance.state is InstanceState.BLANK:
            instance.state = InstanceState.ENDED
        if instance.groups is not None:
            self._remove_groups(instance.groups, _GROUP_TRIES)
        if instance.home is not None:
            self._loop.run_in_executor(None, _remove_folder, instance.home)

    def _remove_groups(self, groups: InstanceGroups, tries: int) -> None:
        if not groups.remove() and tries and not self._closed:
            self._loop.call_later(_GROUP_SECONDS, self._remove_groups, groups, tries - 1)

    def close(self) -> None:
        """End every zygote and with them every instance."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for zygote in list(self._zygotes.values()):
            zygote.close()
            self.zygote_lost(zygote)
        if self._groups is not None:
            self._groups.close()


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
