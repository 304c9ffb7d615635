"""The loop of a zygote: forks on demand, reaps its children and reports their end.

Standard library only, Python 3.8 and later. Messages have twelve bytes: a kind, the number of an instance, a value.
The data plane sends ``FORK``, with three descriptors (the instance's socket, the pipes of stdout and stderr), and
``KILL``. The zygote sends ``READY`` once, with the storage of its forks' roots (``sandbox/rootfs.py``), ``FORK``
with the process id of a new instance, ``EXIT`` with a wait status, and ``FORK_FAILED`` with an error number.
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

from ..sandbox import namespaces, syscalls

MESSAGE = struct.Struct("!4sIi")
READY, FORK, FORK_FAILED, EXIT, KILL = b"REDY", b"FORK", b"FAIL", b"EXIT", b"KILL"


class ForkServer:
    """Forks on demand and reports which forks have ended.

    Single-threaded: a fork copies only the calling thread, and locks held by other threads would stay locked in it.

    Args:
        control: The socket to the data plane.
        namespaces: Whether each fork is process 1 of a PID namespace of its own.
        storage: Where the roots of forks are written to.
    """

    def __init__(
        self,
        control: socket.socket,
        *,
        namespaces: bool,
        storage: int = 0,
    ) -> None:
        self.control = control
        self.namespaces = namespaces
        self.storage = storage
        self.numbers_by_pid = {}  # type: dict[int, int]
        self.own_pid_namespace = -1

    def run(self) -> list[int]:
        """Serve messages until the data plane closes its end.

        Returns:
            In a fork, the descriptors that were sent for it.

        Raises:
            EOFError: The data plane has closed its end, and all children have been killed.
        """
        if not self.namespaces:
            namespaces.become_subreaper()
        else:
            self.own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        # SIGCHLD must interrupt poll. A wakeup descriptor is written by the C-level signal handler, so no signal
        # is lost between reaping and the next poll. SIGCHLD needs a Python handler for that; it does nothing.
        wakeup_reader, wakeup_writer = socket.socketpair()
        for end in (wakeup_writer, wakeup_reader):
            end.settimeout(0)
        signal.set_wakeup_fd(wakeup_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        # Frozen objects are never visited by the collector again. A collection in a fork would write to the
        # header of each object and so copy every page that it shares with the zygote.
        gc.collect()
        gc.freeze()
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(wakeup_reader, select.POLLIN)
        self.send(READY, 0, self.storage)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == wakeup_reader.fileno():
                    wakeup_reader.recv(4096)
                    self.reap()
                    continue
                try:
                    inherited = self.receive((wakeup_reader, wakeup_writer))
                except EOFError:
                    self.kill_all()
                    raise
                if inherited is not None:
                    return inherited

    def send(self, kind: bytes, number: int, value: int) -> None:
        """Send one message.

        A broken connection is no error here: ``receive`` raises ``EOFError`` next, and ``run`` then kills all
        children.
        """
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.control.sendall(MESSAGE.pack(kind, number, value))

    def reap(self) -> None:
        """Reap every child that has ended, report instances, and kill the processes that they left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            number = self.numbers_by_pid.pop(pid, None)
            if number is not None:
                self.send(EXIT, number, status)
        if not self.namespaces:
            self.kill_orphans()

    def kill_orphans(self) -> None:
        """Kill processes whose instance has ended. They were reparented to this process, as their children will be.

        In a PID namespace the kernel does this when process 1 ends.
        """
        for pid in namespaces.list_children():
            if pid not in self.numbers_by_pid:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def receive(self, wakeup_sockets: tuple[socket.socket, ...]) -> list[int] | None:
        """Handle one message.

        Args:
            wakeup_sockets: Closed in a fork.

        Returns:
            In a fork, its descriptors; else ``None``.

        Raises:
            EOFError: The data plane has closed its end.
        """
        try:
            received, ancillary, _, _ = self.control.recvmsg(MESSAGE.size, socket.CMSG_SPACE(12))
        except ConnectionResetError:  # closed while messages of ours were unread
            raise EOFError from None
        while received and len(received) < MESSAGE.size:
            received += self.control.recv(MESSAGE.size - len(received))
        if not received:
            raise EOFError
        kind, number, _ = MESSAGE.unpack(received)
        descriptors = []  # type: list[int]
        for _, _, data in ancillary:
            descriptors += struct.unpack(f"{len(data) // 4}i", data)
        if kind == KILL:
            self.kill(number)
        elif kind == FORK:
            return self.fork(number, descriptors, wakeup_sockets)
        return None

    def kill(self, number: int) -> None:
        """Kill an instance.

        A process id stays in the table until its process is reaped, and the kernel does not reuse it before that:
        no unrelated process can be hit.
        """
        for pid, known in self.numbers_by_pid.items():
            if known == number:
                if not self.namespaces:
                    with contextlib.suppress(OSError):  # before setsid it leads no process group
                        os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill and reap all children."""
        for number in list(self.numbers_by_pid.values()):
            self.kill(number)
        self.numbers_by_pid.clear()
        with contextlib.suppress(ChildProcessError):
            while True:
                if self.namespaces:
                    os.waitpid(-1, 0)
                    continue
                self.kill_orphans()  # in each round: a process that ends leaves its children to this one
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)

    def fork(
        self, number: int, descriptors: list[int], wakeup_sockets: tuple[socket.socket, ...]
    ) -> list[int] | None:
        """Fork an instance that inherits these descriptors and none of the zygote's own.

        Args:
            number: The number of the instance.
            descriptors: Closed here in the parent in every case.
            wakeup_sockets: Closed in the child.

        Returns:
            The descriptors in the child, ``None`` in the parent.
        """
        pid = -1
        try:
            if self.own_pid_namespace >= 0:
                syscalls.unshare(syscalls.CLONE_NEWPID)  # the fork becomes process 1 of a PID namespace of its own
            pid = os.fork()
        except OSError as error:
            self.send(FORK_FAILED, number, error.errno or 0)
        if pid == 0:
            self.leave(wakeup_sockets)
            return descriptors
        if pid > 0:
            self.numbers_by_pid[pid] = number
            self.send(FORK, number, pid)
        if self.own_pid_namespace >= 0:
            # Also after a failed fork: the kernel refuses a second unshare (EINVAL) while the namespace for
            # children differs from the process's own.
            syscalls.setns(self.own_pid_namespace, syscalls.CLONE_NEWPID)
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def leave(self, wakeup_sockets: tuple[socket.socket, ...]) -> None:
        """Close the zygote's descriptors in a child.

        It shares them: it must not write to the wakeup socket, nor read fork messages, nor keep the control socket
        open after the zygote has ended.
        """
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if not self.namespaces:
            namespaces.become_subreaper()
        for sock in wakeup_sockets:
            sock.close()
        self.control.close()
        if self.own_pid_namespace >= 0:
            os.close(self.own_pid_namespace)
