"""Forks a worker and waits until it is ready to receive its settings."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from typing import Final

import msgspec

from fnkit.platform.engine.capture import open_worker_channels
from fnkit.platform.engine.instance import Instance

__all__ = ["fork_worker", "receive_peer_pid"]

_UCRED: Final = struct.Struct("3i")  # ucred: process, user, group


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
