"""From the order to fork an instance until it waits, blank, for its settings."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from typing import Final

import msgspec

from fnkit.platform.engine.capture import open_line
from fnkit.platform.engine.instance import Instance

__all__ = ["fork_instance", "who_says_hello"]

_CREDENTIALS: Final = struct.Struct("3i")  # ucred: process, user, group


async def fork_instance(instance: Instance, owner: int = 0) -> None:
    """Have a blank instance forked: it joins its groups and mounts its disk while it waits for settings.

    owner: the user that the pipes are given to, where the instance itself has no right to (it may reopen them).
    """
    zygote, groups = instance.zygote, instance.groups
    ours, theirs, pipes = open_line()
    try:
        if owner:
            for _, writing in pipes:
                os.fchown(writing, owner, owner)
        zygote.fork(instance.number, [theirs.fileno(), pipes[0][1], pipes[1][1]])
    finally:
        theirs.close()
        for _, writing in pipes:
            os.close(writing)
    instance.capture(pipes[0][0], "stdout")
    instance.capture(pipes[1][0], "stderr")
    ours.settimeout(0)
    loop = asyncio.get_running_loop()
    instance.pid = await who_says_hello(loop, ours)
    if groups is not None and not zygote.joins_itself and instance.pid:
        await loop.run_in_executor(None, groups.take, instance.pid)
    await loop.create_unix_connection(lambda: instance, sock=ours)
    joins = groups.joins if groups is not None and zygote.joins_itself else []
    instance.write_document(msgspec.json.encode({"cgroups": joins}))


async def who_says_hello(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> int:
    """Wait for the first byte and return its sender's process id, which the kernel vouches for; 0 unknown."""
    came = asyncio.Event()
    loop.add_reader(connection.fileno(), came.set)
    try:
        await came.wait()
        _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    except OSError:
        return 0  # it ended at once; whoever reads next hears of it
    finally:
        loop.remove_reader(connection.fileno())
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                return int(_CREDENTIALS.unpack(data)[0])
    return 0
