"""The pool of pre-warmed workers: forked ahead of use, assigned to no deployment yet.

The pool is refilled once nothing was taken from it for a moment, so that forks do not slow down a burst of starts.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.logs import open_worker_channels

__all__ = ["WarmPool", "fork_worker", "receive_peer_pid"]

_UCRED: Final = struct.Struct("3i")  # ucred: process, user, group

_REFILL_DELAY: Final = 0.05
_REPLACEMENT_DELAY: Final = 0.5


async def fork_worker(worker: Instance, owner: int = 0) -> None:
    """Fork a worker, which joins its cgroups and mounts its disk while it waits for settings.

    Args:
        worker: The worker to start.
        owner: The user that gets the pipes, if the worker has no right to give them to its user itself; 0 for none.

    Raises:
        OSError: No descriptors are left, or the worker ended at once.
    """
    zygote, groups = worker.zygote, worker.groups
    connection, worker_end, pipes = open_worker_channels()
    try:
        if owner:
            for _, write_end in pipes:
                os.fchown(write_end, owner, owner)
        zygote.fork(worker.number, [worker_end.fileno(), pipes[0][1], pipes[1][1]])
    finally:
        # This process must not hold the worker's ends: the end of the worker would never show as the end of its
        # streams.
        worker_end.close()
        for _, write_end in pipes:
            os.close(write_end)
    worker.capture_output(pipes[0][0], "stdout")
    worker.capture_output(pipes[1][0], "stderr")
    connection.settimeout(0)
    loop = asyncio.get_running_loop()
    worker.pid = await receive_peer_pid(loop, connection)
    # The worker waits for the first document, so it is in its groups before it gets anything to do.
    if groups is not None and not zygote.moves_itself_to_cgroup and worker.pid:
        await loop.run_in_executor(None, groups.add_process, worker.pid)
    await loop.create_unix_connection(lambda: worker, sock=connection)
    cgroups = groups.procs_files if groups is not None and zygote.moves_itself_to_cgroup else []
    worker.write_document(msgspec.json.encode({"cgroups": cgroups}))


async def receive_peer_pid(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> int:
    """Wait for the handshake byte and return the process id of its sender, as the kernel reports it; 0 if unknown.

    The id that fork returned is not enough: it is counted in the PID namespace of the zygote.
    """
    readable = asyncio.Event()
    loop.add_reader(connection.fileno(), readable.set)
    try:
        await readable.wait()
        _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(_UCRED.size))
    except OSError:
        return 0  # it ended at once; the next read from the socket shows that
    finally:
        loop.remove_reader(connection.fileno())
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                return int(_UCRED.unpack(data)[0])
    return 0


class WarmPool:
    """Pre-warmed workers by interpreter.

    Args:
        size: The number of workers to keep for each interpreter.
        fork: Forks a worker for an interpreter. Raises ``OSError`` if it cannot.
    """

    def __init__(self, size: int, fork: Callable[[str], Awaitable[Instance]]) -> None:
        self._size = size
        self._fork = fork
        self._available: dict[str, deque[Instance]] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def acquire(self, interpreter: str) -> Instance | None:
        """Return a live worker, ``None`` without one."""
        workers = self._available.get(interpreter)
        while workers:
            worker = workers.popleft()
            if worker.is_prewarmed:
                return worker
        return None

    def refill(self, interpreter: str) -> None:
        """Fill the pool again: after a moment, or at once if it is empty."""
        if self._available.get(interpreter):
            self._schedule_refill(_REFILL_DELAY, interpreter)
        else:
            self._cancel_timer(interpreter)
            self._start_refill(interpreter)

    def on_exit(self, worker: Instance) -> None:
        """Replace a worker that has ended.

        After a delay: whatever killed it may kill its replacement too.
        """
        interpreter = worker.zygote.interpreter
        workers = self._available.get(interpreter)
        if not self._closed and workers is not None and worker in workers:
            workers.remove(worker)
            self._schedule_refill(_REPLACEMENT_DELAY, interpreter)

    def discard_all(self, interpreter: str) -> None:
        """Discard the pool after a worker was killed during its start; the next start forks a fresh one.

        Whatever killed that worker, such as a memory killer, may be about to kill the others.
        """
        workers = self._available.get(interpreter)
        while workers:
            workers.popleft().kill("discarded")

    def _schedule_refill(self, delay: float, interpreter: str) -> None:
        self._cancel_timer(interpreter)
        self._timers[interpreter] = self._loop.call_later(delay, self._start_refill, interpreter)

    def _cancel_timer(self, interpreter: str) -> None:
        if (waiting := self._timers.pop(interpreter, None)) is not None:
            waiting.cancel()

    def _start_refill(self, interpreter: str) -> None:
        workers = self._available.setdefault(interpreter, deque())
        if self._closed or interpreter in self._refilling or len(workers) >= self._size:
            return
        self._refilling.add(interpreter)
        task = self._loop.create_task(self._fork_missing(interpreter, workers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fork_missing(self, interpreter: str, workers: deque[Instance]) -> None:
        try:
            while len(workers) < self._size and not self._closed:
                worker = await self._fork(interpreter)
                if not worker.is_prewarmed:
                    return  # killed at once; another attempt would probably fail too
                workers.append(worker)
        except OSError:
            return  # the next start tries again and reports the error
        finally:
            self._refilling.discard(interpreter)

    def close(self) -> None:
        """Stop refilling."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for interpreter in list(self._timers):
            self._cancel_timer(interpreter)
