"""A failed fork leaves no open descriptors and no child, and output is read in lines."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, OutputReader, fork_process
from fnkit.platform.data_plane.workers.instance import LocalInstance
from fnkit.platform.data_plane.workers.isolation import InstanceGroups
from fnkit.platform.data_plane.workers.program import WorkerProgram
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.log_record import LogStream


class FakeForkServer(ForkServerClient):
    """Its forks send the ready byte and nothing else."""

    moves_itself_to_cgroup = False

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), sys.executable)
        self.killed: list[int] = []

    def request_fork(self, number: int, descriptors: Sequence[int]) -> asyncio.Future[int | None]:
        with socket.socket(fileno=os.dup(descriptors[0])) as child_end:
            child_end.sendall(b"\n")
        return super().request_fork(number, descriptors)

    def kill(self, number: int) -> None:
        self.killed.append(number)

    def _kill(self) -> None: ...

    def _reap(self) -> None: ...


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208  Path.iterdir would open a descriptor itself


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fork_is_killed_and_closed_when_its_cgroup_is_missing(tmp_path: Path) -> None:
    groups = InstanceGroups({"memory": tmp_path / "missing"}, is_unified=False)

    async def fork() -> None:
        zygote = FakeForkServer()
        # Starts the executor, which opens descriptors of its own.
        await asyncio.get_running_loop().run_in_executor(None, os.getpid)
        before = open_descriptors()
        with pytest.raises(FileNotFoundError):
            await fork_process(zygote, 7, groups)
        assert open_descriptors() == before
        assert zygote.killed == [7]

    asyncio.run(fork())


def test_instance_is_killed_and_closed_when_connecting_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def raise_os_error(*_: object, **__: object) -> None:
        raise OSError("refused")

    async def connect() -> tuple[ForkedProcess, FakeForkServer]:
        zygote = FakeForkServer()
        process = await fork_process(zygote, 7, None)
        instance = LocalInstance(
            process, WorkerProgram(interpreter=""), LogWriter(tmp_path, lambda: 0, lambda: 0.0)
        )
        monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", raise_os_error)
        with pytest.raises(OSError, match="refused"):
            await instance.connect()
        zygote.close()
        assert await instance.ended == "its socket cannot be watched"
        return process, zygote

    process, zygote = asyncio.run(connect())
    assert process.connection.fileno() == -1
    assert zygote.killed == [7]


class Lines:
    """The lines of a process, in the order in which they were read."""

    def __init__(self) -> None:
        self.read: list[tuple[LogStream, bytes]] = []

    def add(self, stream: LogStream, lines: Iterable[bytes]) -> None:
        self.read += [(stream, line) for line in lines]


def test_flush_emits_an_unfinished_line() -> None:
    async def read() -> None:
        (out, write_out), (err, write_err) = os.pipe(), os.pipe()
        lines = Lines()
        reader = OutputReader(asyncio.get_running_loop(), [(out, "stdout"), (err, "stderr")], lines.add)
        os.write(write_out, b"one\ntwo\nthr")
        os.write(write_err, b"a\n")
        reader.read_pending()
        assert sorted(lines.read) == [("stderr", b"a"), ("stdout", b"one"), ("stdout", b"two")]
        reader.flush()
        reader.flush()
        assert lines.read[3:] == [("stdout", b"thr")]
        os.write(write_out, b"ee\n")
        reader.close()
        assert lines.read[4:] == [("stdout", b"ee")]
        os.close(write_out)
        os.close(write_err)

    asyncio.run(read())


def test_reused_descriptor_of_a_closed_stream_is_not_read() -> None:
    async def read() -> None:
        ended, write_end = os.pipe()
        lines = Lines()
        reader = OutputReader(asyncio.get_running_loop(), [(ended, "stdout")], lines.add)
        os.close(write_end)  # as a handler that closes its stdout
        reader.read_pending()
        other, other_write_end = os.pipe()
        if other != ended:
            os.dup2(other, ended)
        os.write(other_write_end, b"of another function\n")
        reader.read_pending()
        reader.close()
        assert lines.read == []
        assert os.read(ended, 100) == b"of another function\n"
        for descriptor in {other, ended, other_write_end}:
            os.close(descriptor)

    asyncio.run(read())


def test_line_that_is_too_long_ends_with_its_request() -> None:
    read: list[bytes] = []

    async def work() -> None:
        source, target = os.pipe()
        streams: list[tuple[int, LogStream]] = [(source, "stdout")]
        reader = OutputReader(asyncio.get_running_loop(), streams, lambda _stream, lines: read.extend(lines))
        for _ in range(2):  # more than a pipe holds
            os.write(target, b"x" * 40_000)
            reader.read_pending()
        reader.flush()  # the end of the request
        os.write(target, b"hello\n")
        reader.read_pending()
        os.close(target)
        reader.close()

    asyncio.run(work())
    assert [len(read[0]) > 65536, *read[1:]] == [True, b"hello"]
