"""What is killed or stopped while the platform is called, each told to the oracle first."""

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
from tests.soak.subject import Subject
from tests.support.processes import arguments_of, descendants, is_alive

__all__ = ["Kills"]

_DEADLINE: Final = 60.0
_WELL_AFTER: Final = 1.0  # seconds in which what a killed instance leaves is cleared away


class Kills:
    """Ends processes of the platform with ``SIGKILL``. ``note`` keeps what was done."""

    def __init__(
        self, subject: Subject, oracle: Oracle, chance: random.Random, note: Callable[[str, str], None]
    ) -> None:
        self._subject = subject
        self._oracle = oracle
        self._random = chance
        self._note = note

    def _below_the_data_plane(self) -> list[int]:
        pid = self._subject.processes()["data plane"]
        return sorted(descendants(pid)) if pid else []

    def _workers(self, *, zygotes: bool) -> list[int]:
        found = []
        for pid in self._below_the_data_plane():
            with contextlib.suppress(OSError):
                if "worker/python/launch.py" in arguments_of(pid) and bool(descendants(pid)) == zygotes:
                    found.append(pid)
        return found

    def _kill(self, kind: str, pids: list[int]) -> None:
        if not pids:
            return
        pid = self._random.choice(pids)
        self._note(f"kill {kind}", str(pid))
        disturbance = self._oracle.disturb(kind)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + _DEADLINE
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(_WELL_AFTER)
        disturbance.until = time.monotonic()

    def instance(self) -> None:
        """Kill a process that answers, or would."""
        self._kill("instance", self._workers(zygotes=False))

    def blanks(self) -> None:
        """Kill what is in hand for the next start, one or all of it: no request and no deploy notices."""
        blanks = self._stopped_blanks()
        wanted = len(blanks) if self._random.random() < 0.5 else 1
        for pid in blanks[wanted:]:
            os.kill(pid, signal.SIGCONT)
        if victims := blanks[:wanted]:
            self._note("kill blank", f"{victims}")
            self._oracle.disturb("blank").until = time.monotonic()
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _stopped_blanks(self) -> list[int]:
        """Stop what lies in no function's folder yet, and return it: stopped, it does not become an instance."""
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

    def zygote(self) -> None:
        """Kill a process that forks others, and all of them with it."""
        self._kill("zygote", self._workers(zygotes=True))

    def data_plane(self) -> None:
        """Kill the data plane: no door is open until it is back."""
        self._kill_process("data plane")

    def control(self) -> None:
        """Kill control: nobody who calls a function notices."""
        self._kill_process("control")

    def supervisor(self) -> None:
        """Kill the first process: all others end with it, and the next start finds everything as it was."""
        pid = self._subject.pid
        self._note("kill supervisor", str(pid))
        disturbance = self._oracle.disturb("supervisor")
        below = descendants(pid)
        os.kill(pid, signal.SIGKILL)
        self._wait_for_the_end([pid, *below])
        folder, gateway = self._subject.socket_folder, self._subject.gateway
        self._subject.start_again()
        self._subject.become_healthy()
        disturbance.until = time.monotonic()
        if folder != self._subject.socket_folder and folder.exists():
            self._oracle.fault(f"{folder} of the killed platform is still there")
        if self._subject.gateway != gateway:
            self._oracle.fault(f"the gateway moved from {gateway} to {self._subject.gateway}")

    def _wait_for_the_end(self, pids: list[int]) -> None:
        end = time.monotonic() + _DEADLINE
        while left := list(filter(is_alive, pids)):
            if time.monotonic() > end:
                self._oracle.fault(f"{left} outlived the supervisor")
                return
            time.sleep(0.005)

    def _kill_process(self, kind: str) -> None:
        pid = self._subject.processes()[kind]
        if not pid:
            return
        self._note(f"kill {kind}", str(pid))
        disturbance = self._oracle.disturb(kind)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + _DEADLINE
        while self._subject.processes()[kind] in (pid, 0) and time.monotonic() < end:
            time.sleep(0.01)
        self._subject.become_healthy()
        disturbance.until = time.monotonic()

    def pause(self) -> None:
        """Stop a process for a moment: what it holds is late, and not lost."""
        kinds = self._subject.processes()
        choices = [
            pid for pid in (*kinds.values(), *self._workers(zygotes=False), *self._workers(zygotes=True)) if pid
        ]
        pid = self._random.choice(choices)
        seconds = self._random.choice((0.1, 0.5, 1.5))
        self._note("pause", f"{pid} for {seconds} s")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
