"""The loop of a zygote: fork on demand, bury, report. Standard library of Python 3.8 and later.

It hears twelve-byte messages: ``FORK`` with an instance's number and three descriptors (its socket, the pipes of
stdout and stderr), ``KILL`` with a number. It says ``BORN`` once it can fork, ``FORK`` with the number of an
instance that it has forked, ``EXIT`` with a number and a wait status, and ``LOST`` with an error number when a fork
failed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import time
import typing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.platform.engine.bridges import processes
else:
    import processes

MESSAGE = struct.Struct("!4sIi")


class Zygote:
    """Forks on demand and reports who ended. Single-threaded, so that a fork is a whole process.

    ``namespaces``: every fork is process 1 of a namespace of its own. ``become`` turns a fresh child, which got
    these descriptors, into an instance, and never returns.
    """

    def __init__(
        self,
        control: socket.socket,
        *,
        namespaces: bool,
        become: typing.Callable[[list[int]], None],
    ) -> None:
        self.control = control
        self.namespaces = namespaces
        self.become = become
        self.numbers = {}  # type: dict[int, int]
        self.own_pids = -1

    def run(self) -> None:
        """Serve until the data plane closes its end."""
        if not self.namespaces:
            processes.adopt_orphans()
        else:
            self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY)
        woken, wake = socket.socketpair()
        for end in (wake, woken):
            end.settimeout(0)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        gc.collect()
        gc.freeze()
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(woken, select.POLLIN)
        self.tell(b"BORN", 0, 0)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == woken.fileno():
                    woken.recv(4096)
                    self.reap()
                elif not self.hear(woken, wake):
                    self.end_all()
                    return

    def tell(self, kind: bytes, number: int, value: int) -> None:
        """Send one message. That nobody hears it is no error here: ``hear`` ends us, and all that is ours."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.sendall(MESSAGE.pack(kind, number, value))

    def reap(self) -> None:
        """Report every instance that has ended, and end what it has left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            number = self.numbers.pop(pid, None)
            if number is not None:
                self.tell(b"EXIT", number, status)
        if not self.namespaces:
            self.end_orphans()

    def end_orphans(self) -> None:
        """End processes whose instance has ended: they have become our children, as theirs will when they end.

        Where there are namespaces the kernel has done it.
        """
        for pid in processes.children():
            if pid not in self.numbers:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def hear(self, woken: socket.socket, wake: socket.socket) -> bool:
        """Take one message; ``False`` when there will be no more."""
        try:
            received, ancillary, _, _ = self.control.recvmsg(MESSAGE.size, socket.CMSG_SPACE(12))
        except ConnectionResetError:  # closed with something of ours unread
            return False
        while received and len(received) < MESSAGE.size:
            received += self.control.recv(MESSAGE.size - len(received))
        if not received:
            return False
        kind, number, _ = MESSAGE.unpack(received)
        descriptors = []  # type: list[int]
        for _, _, data in ancillary:
            descriptors += struct.unpack(f"{len(data) // 4}i", data)
        if kind == b"KILL":
            self.kill(number)
        elif kind == b"FORK":
            self.fork(number, descriptors, (woken, wake))
        return True

    def kill(self, number: int) -> None:
        """End an instance. Only what is not reaped yet has a pid here, so no stranger can be hit."""
        for pid, known in self.numbers.items():
            if known == number:
                if not self.namespaces:
                    with contextlib.suppress(OSError):  # it may not have called setsid yet
                        os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)

    def end_all(self) -> None:
        """The data plane is gone or lets go: end every instance, and be the one who buries them."""
        for number in list(self.numbers.values()):
            self.kill(number)
        self.numbers.clear()
        with contextlib.suppress(ChildProcessError):
            while True:
                if self.namespaces:
                    os.waitpid(-1, 0)
                    continue
                self.end_orphans()  # again and again: one may be left to us at any moment
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)

    def fork(self, number: int, descriptors: list[int], ours: tuple[socket.socket, ...]) -> None:
        """Fork an instance that gets these descriptors and none of ours."""
        try:
            if self.own_pids >= 0:
                processes.separate_processes()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                if not self.namespaces:
                    processes.adopt_orphans()
                for sock in ours:
                    sock.close()
                self.control.close()
                if self.own_pids >= 0:
                    os.close(self.own_pids)
                self.become(descriptors)
            self.numbers[pid] = number
            self.tell(b"FORK", number, pid)
        except OSError as error:
            self.tell(b"LOST", number, error.errno or 0)
        finally:
            if self.own_pids >= 0:
                processes.return_to_processes(self.own_pids)
            for descriptor in descriptors:
                os.close(descriptor)
