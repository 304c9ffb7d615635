"""The supervisor: runs control, the data plane and the platform's own brokers, and stops them in order.

Its pid is that of the platform. ``supervise`` runs in the foreground within ``fnkit platform start``. ``--detach``
and ``--local`` run this module as a process, which writes a ``StartupResult`` and then detaches from its parent.

1. Prepare: lock the data directory, reserve ports, write the run file. Nothing is started if this fails.
2. Start the processes and poll their health. If one leaves an error that a user can act on, if control or the data
   plane ends three times, or if the platform is not healthy within ``--timeout``, everything is stopped and the
   start fails.
3. Run until SIGTERM or SIGINT, restarting processes that end.
4. Stop: control and the data plane get SIGTERM and ten seconds, then the brokers, then SIGKILL for what is left. A
   second signal kills at once.

The SQS endpoint starts when the first client connects, so that platforms without queues do not pay for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.model.settings import ProcessSettings, QueueSettings
from fnkit.platform.model.start_error import START_ERROR_FILE, decode_start_error, encode_start_error
from fnkit.platform.rotating_log import RotatingLogFile
from fnkit.platform.supervisor.child import end_with_parent
from fnkit.platform.supervisor.child_process import ChildProcess
from fnkit.platform.supervisor.data_directory import child_environment, write_run_file
from fnkit.platform.supervisor.health import fetch_health
from fnkit.platform.supervisor.log_files import not_healthy_error
from fnkit.platform.supervisor.nats_server import NATS_HOST
from fnkit.platform.supervisor.options import StartOptions, StartupResult
from fnkit.platform.supervisor.startup import AlreadyLocked, PreparedPlatform, prepare_platform

DRAIN_TIMEOUT: Final = 10.0

_MAX_CRASHES: Final = 3
_HEALTH_INTERVAL: Final = 0.05
_BROKER_STOP_TIMEOUT: Final = 2.0
_CORE_PROCESS_COUNT: Final = 2
"""Control and the data plane are first in the list of processes, then the brokers."""


class _Supervisor:
    """The processes of the platform.

    Args:
        prepared: What the processes need.
        on_healthy: Called once, from another thread, when the platform is healthy.
    """

    def __init__(self, prepared: PreparedPlatform, on_healthy: Callable[[], None]) -> None:
        self._prepared = prepared
        self._on_healthy = on_healthy
        self._run_file = prepared.run_file
        self._stop_requested = asyncio.Event()
        control_settings = prepared.settings
        # The data plane runs user code in its children, so it gets no credentials that it does not need.
        data_plane_settings = msgspec.structs.replace(control_settings, queues=QueueSettings())
        environment = child_environment(os.environ)
        logs = prepared.layout.logs_dir / "platform"
        journal = RotatingLogFile(logs / "supervisor.log")
        listening = control_settings.listening
        modules: list[tuple[str, str, ProcessSettings, tuple[int, ...]]] = [
            ("control", "fnkit.platform.control.process", control_settings, listening.api),
            (
                "data-plane",
                "fnkit.platform.data_plane.process",
                data_plane_settings,
                (*listening.gateway, *listening.tls),
            ),
        ]
        if prepared.run_file.settings.nats_port:
            modules.append(("nats", "fnkit.platform.supervisor.nats_server", control_settings, ()))
        if listening.sqs:
            modules.append(("sqs", "fnkit.platform.supervisor.sqs_server", control_settings, listening.sqs))
        self._processes = tuple(
            ChildProcess(
                name,
                module,
                settings=msgspec.json.encode(settings),
                environment=environment,
                descriptors=descriptors,
                output_log=RotatingLogFile(logs / f"{name}.log"),
                supervisor_log=journal,
                on_change=partial(self._record_pid, name),
            )
            for name, module, settings, descriptors in modules
        )

    async def run(self, start_timeout: float) -> None:
        """Run until a signal, or until the start fails.

        Args:
            start_timeout: Seconds until the platform must be healthy.

        Raises:
            PlatformError: The start failed: ``platform-not-healthy``, or what one of the processes reports. All
                have ended.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_stop_signal)
        keeping = [asyncio.create_task(process.run(on_demand=process.name == "sqs")) for process in self._processes]
        health = asyncio.create_task(self._wait_until_healthy(loop.time() + start_timeout))
        await self._stop_requested.wait()
        await self._stop_processes(keeping)
        if not health.cancel() and (failure := health.exception()) is not None:
            raise failure

    def _on_stop_signal(self) -> None:
        """Request a stop; kill the processes on the second call."""
        if self._stop_requested.is_set():
            for process in self._processes:
                process.stop(signal.SIGKILL)
        self._stop_requested.set()

    async def _stop_processes(self, tasks: list[asyncio.Task[None]]) -> None:
        # The brokers are stopped last, since messages in flight must still be acknowledged.
        for process in self._processes[:_CORE_PROCESS_COUNT]:
            process.stop(signal.SIGTERM)
        await asyncio.wait(tasks[:_CORE_PROCESS_COUNT], timeout=DRAIN_TIMEOUT)
        for process in self._processes[_CORE_PROCESS_COUNT:]:
            process.stop(signal.SIGTERM)
        if tasks[_CORE_PROCESS_COUNT:]:
            await asyncio.wait(tasks[_CORE_PROCESS_COUNT:], timeout=_BROKER_STOP_TIMEOUT)
        for process in self._processes:
            process.stop(signal.SIGKILL)
        await asyncio.gather(*tasks)

    async def _wait_until_healthy(self, deadline: float) -> None:
        settings = self._prepared.run_file.settings
        try:
            while not (
                (await asyncio.to_thread(fetch_health, settings.host, settings.api_port)).is_ready
                and await self._is_broker_ready()
            ):
                self._check_start(deadline)
                await asyncio.sleep(_HEALTH_INTERVAL)
            await asyncio.to_thread(self._on_healthy)
        except BaseException:
            self._stop_requested.set()
            raise

    async def _is_broker_ready(self) -> bool:
        """Return whether the NATS broker accepts connections, or failed too often.

        A broker that cannot run does not fail the start: the status of its triggers reports it.
        """
        port = self._run_file.settings.nats_port
        crashes = next((process.crashes for process in self._processes if process.name == "nats"), 0)
        if not port or crashes >= _MAX_CRASHES:
            return True
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(NATS_HOST, port)
            writer.close()
            return True
        return False

    def _check_start(self, deadline: float) -> None:
        if (failure := self._read_start_error()) is not None:
            raise failure
        if any(process.crashes >= _MAX_CRASHES for process in self._processes[:_CORE_PROCESS_COUNT]):
            raise not_healthy_error(self._prepared.layout, "its processes exit right after they start")
        if asyncio.get_running_loop().time() > deadline:
            raise not_healthy_error(self._prepared.layout, "it did not become healthy in time")

    def _read_start_error(self) -> PlatformError | None:
        """Return why one of the processes could not start, if it has said so."""
        try:
            return decode_start_error(Path(self._run_file.socket_folder, START_ERROR_FILE).read_bytes())
        except OSError:
            return None

    def _record_pid(self, process: str, pid: int) -> None:
        """Write a pid to the run file. Errors are ignored: a full disk must not stop the platform."""
        changes = {process.replace("-", "_"): pid}
        self._run_file = msgspec.structs.replace(self._run_file, **changes)
        with contextlib.suppress(OSError):
            write_run_file(self._prepared.layout.run_file, self._run_file)


def supervise(prepared: PreparedPlatform, on_healthy: Callable[[], None], *, start_timeout: float) -> None:
    """Run the platform with this process as its supervisor, until a signal; then release lock, ports and sockets.

    Args:
        prepared: The prepared start.
        on_healthy: Called once, from another thread, when the platform is healthy.
        start_timeout: Seconds until it must be healthy.

    Raises:
        PlatformError: ``platform-not-healthy``, or what one of the processes reports.
    """
    try:
        asyncio.run(_Supervisor(prepared, on_healthy).run(start_timeout))
    finally:
        remove_tree(prepared.run_file.socket_folder)
        prepared.ports.release()
        os.close(prepared.lock_descriptor)


def main() -> int:
    """Run detached: ``StartOptions`` as JSON on standard input, ``StartupResult`` on standard output."""
    options = msgspec.json.decode(sys.stdin.buffer.read(), type=StartOptions)
    if options.owner:
        end_with_parent(options.owner, signal.SIGTERM)
    try:
        prepared = prepare_platform(options)
    except AlreadyLocked:
        _write_result(StartupResult(already_running=True))
        return 0
    except PlatformError as error:
        _write_result(StartupResult(code=error.code, message=error.message, hint=error.hint))
        return 1
    except OSError as error:
        _write_result(StartupResult(code="data-folder", message=f"The platform cannot be started: {error}."))
        return 1
    _daemonize(prepared.layout.logs_dir / "platform" / "supervisor.log")
    try:
        supervise(prepared, lambda: None, start_timeout=options.start_timeout)
    except PlatformError as error:
        sys.stderr.write(f"{error.message}\n")
        with contextlib.suppress(OSError):  # the log has it
            prepared.layout.start_error_file.write_bytes(encode_start_error(error))
        return 1
    return 0


def _write_result(result: StartupResult) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    sys.stdout.buffer.flush()


def _daemonize(log_file: Path) -> None:
    """Report success to the parent, then release its pipes, terminal and working directory."""
    _write_result(StartupResult(pid=os.getpid()))
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(null)
    os.close(output)
    os.chdir("/")


if __name__ == "__main__":
    sys.exit(main())
