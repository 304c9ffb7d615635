"""A zygote that no longer responds, such as a stopped one."""

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
from fnkit.platform.data_plane.workers.settings import StartupConfig
from fnkit.platform.data_plane.workers.zygote import ForkServerClient, InterpreterZygoteClient


def start_zygote(folder: Path) -> InterpreterZygoteClient:
    settings = StartupConfig(Level.NONE, folder, folder, folder, hard_cpu=False).encode_for_interpreter(
        "root-0", ()
    )
    return InterpreterZygoteClient(asyncio.get_running_loop(), sys.executable, settings)


async def expect_loss_when_stopped(folder: Path, *, kill: bool) -> None:
    zygote = start_zygote(folder)
    local, remote = socket.socketpair()
    with local, remote:
        local.settimeout(60)
        if kill:
            zygote.request_fork(1, [remote.fileno()] * 3)
            assert await asyncio.to_thread(local.recv, 1)
        os.kill(zygote.pid, signal.SIGSTOP)
        zygote.reply_timeout = 0.2
        if kill:
            zygote.kill(1)
        else:
            zygote.request_fork(1, [remote.fileno()] * 3)
        await asyncio.wait_for(zygote.lost, 60)
        assert zygote.is_closed


@pytest.mark.parametrize("kill", [False, True], ids=["fork", "kill"])
def test_zygote_is_ended_when_it_does_not_reply_in_time(tmp_path: Path, *, kill: bool) -> None:
    asyncio.run(expect_loss_when_stopped(tmp_path, kill=kill))


class SocketClient(ForkServerClient):
    """A client whose other end is the test itself."""

    def _kill(self) -> None:
        """Do nothing: there is no process."""

    def _reap(self) -> None:
        """Do nothing: there is no process."""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_zygote_is_lost_when_it_dies_with_unread_messages(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def die() -> None:
        client = SocketClient(asyncio.get_running_loop(), sys.executable)
        local, remote = socket.socketpair()
        client._start_reading(local)
        await asyncio.sleep(0)
        with remote:
            client.request_fork(1, [remote.fileno()] * 3)
            client.kill(1)
            remote.sendall(struct.pack("!4sIi", b"FORK", 1, 4711))
        await asyncio.wait_for(client.lost, 60)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(die())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_zygote_is_lost_when_a_message_cannot_be_sent(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def send() -> None:
        client = SocketClient(asyncio.get_running_loop(), sys.executable)
        local, remote = socket.socketpair()
        client._start_reading(local)
        asyncio.get_running_loop().remove_reader(local.fileno())  # prevents detection of the closed socket
        remote.close()
        with socket.socket() as passed_socket:
            client.request_fork(1, [passed_socket.fileno()] * 3)
        await asyncio.wait_for(client.lost, 60)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(send())


def test_responsive_zygote_is_kept(tmp_path: Path) -> None:
    async def serve() -> None:
        zygote = start_zygote(tmp_path)
        local, remote = socket.socketpair()
        with local, remote:
            exited = zygote.request_fork(1, [remote.fileno()] * 3)
            zygote.kill(1)
            status = await asyncio.wait_for(exited, 60)
            assert status is not None
            assert os.WTERMSIG(status) == signal.SIGKILL
            zygote.kill(1)  # it has exited, so no reply is expected
            assert not zygote._pending
        assert not zygote.lost.done()
        zygote.close()

    asyncio.run(serve())
