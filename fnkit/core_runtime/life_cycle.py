"""The life of the core runtime: from the start of its worker to the end of both."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Final

from fnkit.core_runtime.http_server import CoreServer
from fnkit.core_runtime.log import report
from fnkit.core_runtime.settings import CoreRuntimeSettings
from fnkit.core_runtime.worker_process import WorkerProcess
from fnkit.core_runtime.worker_start import WorkerHandle

_SHUTDOWN_SECONDS: Final = 10.0
_SEND_SECONDS: Final = 3.0  # for the last responses, after the end of the worker


async def run(settings: CoreRuntimeSettings, listener: socket.socket, handle: WorkerHandle) -> int:
    """Serve until the worker ends, or until a signal ends it, and return the exit code.

    Args:
        settings: The settings of the function.
        listener: A socket that is bound to the port.
        handle: The started worker.
    """
    loop = asyncio.get_running_loop()
    worker = WorkerProcess(handle, settings.function_name, settings.timeout)
    stopped: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set, stopped)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    loop.add_signal_handler(signal.SIGCHLD, _reap, worker)
    _reap(worker)  # what has ended before
    await worker.connect()
    await _first_of(worker.ready, worker.ended, stopped)
    if worker.ready.done() and not stopped.done():
        return await _serve(CoreServer(settings, worker), worker, listener, stopped)
    listener.close()
    if stopped.done():
        return await _end(worker)
    report(f"the worker ended before it was ready: {worker.reason}", has_gateway=settings.has_gateway)
    return worker.ended.result()


async def _serve(
    server: CoreServer, worker: WorkerProcess, listener: socket.socket, stopped: asyncio.Future[None]
) -> int:
    await server.listen(listener)
    await _first_of(worker.ended, stopped)
    server.stop()
    if worker.ended.done():
        report(f"the worker ended: {worker.reason}", has_gateway=server.settings.has_gateway)
        code = worker.ended.result()
    else:
        await asyncio.wait([server.closed], timeout=_SHUTDOWN_SECONDS)
        code = await _end(worker)
    await asyncio.wait([server.closed], timeout=_SEND_SECONDS)
    return code


async def _end(worker: WorkerProcess) -> int:
    """End the worker because the core runtime was told to end."""
    worker.kill("the instance is stopping")
    await asyncio.wait([worker.ended], timeout=_SEND_SECONDS)
    return 0


async def _first_of(*futures: asyncio.Future[None] | asyncio.Future[int]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _reap(worker: WorkerProcess) -> None:
    """Reap every process that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        worker.on_exited(pid, status)
