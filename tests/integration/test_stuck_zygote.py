"""A zygote that does not listen any more, such as one that somebody has stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.zygote import ForkServerClient, InterpreterZygoteClient


async def stopped_before(folder: Path, *, kill: bool) -> None:
    zygote = InterpreterZygoteClient(asyncio.get_running_loop(), sys.executable, Level.NONE, folder)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        if kill:
            zygote.request_fork(1, [theirs.fileno()] * 3)
            assert await asyncio.to_thread(ours.recv, 1)
        os.kill(zygote.pid, signal.SIGSTOP)
        zygote.reply_timeout = 0.2
        if kill:
            zygote.kill(1)
        else:
            zygote.request_fork(1, [theirs.fileno()] * 3)
        await asyncio.wait_for(zygote.lost, 60)
        assert zygote.is_closed


@pytest.mark.parametrize("kill", [False, True], ids=["fork", "kill"])
def test_it_is_ended_when_it_does_not_do_what_it_is_asked_for(tmp_path: Path, *, kill: bool) -> None:
    asyncio.run(stopped_before(tmp_path, kill=kill))


class Line(ForkServerClient):
    """One whose other end is the test itself."""

    def _kill(self) -> None:
        """There is nothing to end."""

    def _reap(self) -> None:
        """There is nothing to wait for."""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_that_dies_with_messages_unread_at_both_ends_is_lost(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def die() -> None:
        line = Line(asyncio.get_running_loop(), sys.executable)
        ours, theirs = socket.socketpair()
        line._start_reading(ours)
        await asyncio.sleep(0)
        with theirs:
            line.request_fork(1, [theirs.fileno()] * 3)
            line.kill(1)
            theirs.sendall(struct.pack("!4sIi", b"FORK", 1, 4711))
        await asyncio.wait_for(line.lost, 60)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(die())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_that_is_found_dead_by_the_next_message_is_lost(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def ask_the_dead() -> None:
        line = Line(asyncio.get_running_loop(), sys.executable)
        ours, theirs = socket.socketpair()
        line._start_reading(ours)
        asyncio.get_running_loop().remove_reader(ours.fileno())  # whatever keeps it from hearing
        theirs.close()
        with socket.socket() as given:
            line.request_fork(1, [given.fileno()] * 3)
        await asyncio.wait_for(line.lost, 60)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask_the_dead())


def test_one_that_listens_is_left_alone(tmp_path: Path) -> None:
    async def serve() -> None:
        zygote = InterpreterZygoteClient(asyncio.get_running_loop(), sys.executable, Level.NONE, tmp_path)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            exited = zygote.request_fork(1, [theirs.fileno()] * 3)
            zygote.kill(1)
            status = await asyncio.wait_for(exited, 60)
            assert status is not None
            assert os.WTERMSIG(status) == signal.SIGKILL
            zygote.kill(1)  # it is not there any more, and nothing is expected
            assert not zygote._pending
        assert not zygote.lost.done()
        zygote.close()

    asyncio.run(serve())
