"""Kills and pauses processes of the platform, and reports each disturbance to the oracle before."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.soak.oracle import Oracle
from tests.soak.platform import SoakPlatform
from tests.support.processes import arguments_of, descendants, is_alive
from tests.support.waiting import wait_until

__all__ = ["ProcessKiller"]

_DEADLINE: Final = 60.0
_CLEANUP_SECONDS: Final = 1.0  # time to clean up after a killed instance


class ProcessKiller:
    """Kills processes of the platform with ``SIGKILL``; ``record`` logs each action."""

    def __init__(
        self,
        platform: SoakPlatform,
        oracle: Oracle,
        random_source: random.Random,
        record: Callable[[str, str], None],
    ) -> None:
        self._platform = platform
        self._oracle = oracle
        self._random = random_source
        self._record = record

    def _data_plane_descendants(self) -> list[int]:
        pid = self._platform.processes()["data plane"]
        return sorted(descendants(pid)) if pid else []

    def _workers(self, *, zygotes: bool) -> list[int]:
        found = []
        for pid in self._data_plane_descendants():
            with contextlib.suppress(OSError):
                if " -I -S - " in arguments_of(pid) and bool(descendants(pid)) == zygotes:
                    found.append(pid)
        return found

    def _kill(self, kind: str, pids: list[int]) -> None:
        if not pids:
            return
        pid = self._random.choice(pids)
        self._record(f"kill {kind}", str(pid))
        disturbance = self._oracle.begin_disturbance(kind)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), _DEADLINE, what=f"the {kind} {pid} has exited")
        time.sleep(_CLEANUP_SECONDS)
        disturbance.end = time.monotonic()

    def kill_instance(self) -> None:
        """Kill an instance."""
        self._kill("instance", self._workers(zygotes=False))

    def kill_prewarmed_workers(self) -> None:
        """Kill one pre-warmed worker, or all: no request and no deploy may be affected."""
        workers = self._stop_prewarmed_workers()
        number = len(workers) if self._random.random() < 0.5 else 1
        for pid in workers[number:]:
            os.kill(pid, signal.SIGCONT)
        if killed := workers[:number]:
            self._record("kill pre-warmed worker", f"{killed}")
            self._oracle.begin_disturbance("pre-warmed worker").end = time.monotonic()
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _stop_prewarmed_workers(self) -> list[int]:
        """Stop the workers that have no function's directory yet, so that they do not become instances."""
        found = []
        for pid in self._workers(zygotes=False):
            with contextlib.suppress(OSError):
                folder = Path(f"/proc/{pid}/cwd")
                if str(folder.readlink()) == "/":
                    os.kill(pid, signal.SIGSTOP)
                    if str(folder.readlink()) == "/":
                        found.append(pid)
                    else:
                        os.kill(pid, signal.SIGCONT)
        return found

    def kill_zygote(self) -> None:
        """Kill a zygote, and with it all of its forks."""
        self._kill("zygote", self._workers(zygotes=True))

    def kill_data_plane(self) -> None:
        """Kill the data plane: no port is open until it has restarted."""
        self._kill_process("data plane")

    def kill_control(self) -> None:
        """Kill control: function calls must not be affected."""
        self._kill_process("control")

    def kill_supervisor(self) -> None:
        """Kill the supervisor and restart the platform: all processes must exit, and ports must not change."""
        pid = self._platform.pid
        self._record("kill supervisor", str(pid))
        disturbance = self._oracle.begin_disturbance("supervisor")
        below = descendants(pid)
        os.kill(pid, signal.SIGKILL)
        self._wait_until_exited([pid, *below])
        folder, gateway = self._platform.socket_directory, self._platform.gateway
        self._platform.restart()
        self._platform.wait_until_healthy()
        disturbance.end = time.monotonic()
        if folder != self._platform.socket_directory and folder.exists():
            self._oracle.add_fault(f"{folder} of the killed platform still exists")
        if self._platform.gateway != gateway:
            self._oracle.add_fault(f"the gateway's address changed from {gateway} to {self._platform.gateway}")

    def _wait_until_exited(self, pids: list[int]) -> None:
        try:
            wait_until(lambda: not any(map(is_alive, pids)), _DEADLINE)
        except AssertionError:
            self._oracle.add_fault(f"{list(filter(is_alive, pids))} still run after the supervisor was killed")

    def _kill_process(self, kind: str) -> None:
        pid = self._platform.processes()[kind]
        if not pid:
            return
        self._record(f"kill {kind}", str(pid))
        disturbance = self._oracle.begin_disturbance(kind)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: self._platform.processes()[kind] not in {pid, 0}, _DEADLINE, what=f"{kind} has restarted"
        )
        self._platform.wait_until_healthy()
        disturbance.end = time.monotonic()

    def pause_process(self) -> None:
        """Pause a process for a moment: requests may be delayed, not lost."""
        kinds = self._platform.processes()
        choices = [
            pid for pid in (*kinds.values(), *self._workers(zygotes=False), *self._workers(zygotes=True)) if pid
        ]
        pid = self._random.choice(choices)
        seconds = self._random.choice((0.1, 0.5, 1.5))
        self._record("pause", f"{pid} for {seconds} s")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
