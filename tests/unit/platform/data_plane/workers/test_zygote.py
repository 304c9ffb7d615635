"""A fork that cannot be completed leaves nothing behind in this process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.isolation import InstanceGroups
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.zygote import ForkedProcess, ForkServerClient, fork_process


class HalfZygote(ForkServerClient):
    """Its forks say that they are there, and nothing more."""

    moves_itself_to_cgroup = False

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), sys.executable)
        self.killed: list[int] = []

    def request_fork(self, number: int, descriptors: Sequence[int]) -> asyncio.Future[int | None]:
        with socket.socket(fileno=os.dup(descriptors[0])) as theirs:
            theirs.sendall(b"\n")
        return super().request_fork(number, descriptors)

    def kill(self, number: int) -> None:
        self.killed.append(number)

    def _kill(self) -> None: ...

    def _reap(self) -> None: ...


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208  (no Path of a descriptor outlives it)


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else tells what a process holds open")
def test_a_fork_that_cannot_be_added_to_its_cgroups_is_killed_and_closes_what_it_opened(tmp_path: Path) -> None:
    groups = InstanceGroups({"memory": tmp_path / "missing"}, is_unified=False)

    async def fork() -> None:
        zygote = HalfZygote()
        await asyncio.get_running_loop().run_in_executor(None, os.getpid)  # the executor opens nothing later
        before = open_descriptors()
        with pytest.raises(FileNotFoundError):
            await fork_process(zygote, 7, groups)
        assert open_descriptors() == before
        assert zygote.killed == [7]

    asyncio.run(fork())


def test_an_instance_whose_socket_cannot_be_watched_is_killed_and_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError("refused")

    async def connect() -> tuple[ForkedProcess, HalfZygote]:
        zygote = HalfZygote()
        process = await fork_process(zygote, 7, None)
        instance = Instance(process, LogWriter(tmp_path, lambda: 0, lambda: 0.0))
        monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", refuse)
        with pytest.raises(OSError, match="refused"):
            await instance.connect()
        zygote.close()
        assert await instance.ended == "its socket cannot be watched"
        return process, zygote

    process, zygote = asyncio.run(connect())
    assert process.connection.fileno() == -1
    assert zygote.killed == [7]
