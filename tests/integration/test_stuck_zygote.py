"""A zygote that does not listen any more, such as one that somebody has stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from fnkit.platform.engine.forking import Forker
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.zygote import Zygote


class Observer:
    """Hears what became of it."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.exited = asyncio.Event()

    def instance_exited(self, number: int, status: int) -> None:
        assert os.WTERMSIG(status) == signal.SIGKILL, number
        self.exited.set()

    def instance_not_forked(self, number: int, error: int) -> None:
        raise AssertionError((number, error))

    def zygote_lost(self, zygote: Forker) -> None:
        assert zygote.closed
        self.lost.set()


async def stopped_before(folder: Path, *, kill: bool) -> None:
    observer = Observer()
    zygote = Zygote(asyncio.get_running_loop(), sys.executable, Level.NONE, folder, observer)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        if kill:
            zygote.fork(1, [theirs.fileno()] * 3)
            assert await asyncio.to_thread(ours.recv, 1)
        os.kill(zygote.pid, signal.SIGSTOP)
        if kill:
            zygote.kill(1)
        else:
            zygote.fork(1, [theirs.fileno()] * 3)
        await asyncio.wait_for(observer.lost.wait(), 60)


@pytest.mark.parametrize("kill", [False, True], ids=["fork", "kill"])
def test_it_is_ended_when_it_does_not_do_what_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kill: bool
) -> None:
    monkeypatch.setattr(Forker, "stuck_seconds", 1.0 if kill else 0.2)
    asyncio.run(stopped_before(tmp_path, kill=kill))


def test_one_that_listens_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forker, "stuck_seconds", 1.5)

    async def serve() -> None:
        observer = Observer()
        zygote = Zygote(asyncio.get_running_loop(), sys.executable, Level.NONE, tmp_path, observer)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            zygote.fork(1, [theirs.fileno()] * 3)
            zygote.kill(1)
            await asyncio.wait_for(observer.exited.wait(), 60)
            zygote.kill(1)  # it is not there any more, and nothing is expected
            assert not zygote._unheard
        assert not observer.lost.is_set()
        zygote.close()

    asyncio.run(serve())
