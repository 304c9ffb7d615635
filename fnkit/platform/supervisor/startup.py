"""Preparation of a start: data directory, lock, credentials, ports, sockets, run file.

The supervisor does all of it while it holds the lock of the data directory, so that concurrent starts cannot
interfere.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.opening import check_store
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.listening_sockets import ListenError, listen
from fnkit.platform.model.settings import (
    DataLayout,
    ListeningDescriptors,
    PlatformSettings,
    ProcessSettings,
    start_option,
)
from fnkit.platform.supervisor.backup import complete_restore, remove_interrupted_backups
from fnkit.platform.supervisor.certificate_authority import ensure_certificate_authority
from fnkit.platform.supervisor.data_directory import (
    RunFile,
    create_data_dir,
    create_socket_dir,
    is_private,
    load_or_create_credentials,
    process_start_time,
    read_run_file,
    write_run_file,
)
from fnkit.platform.supervisor.nats_server import NATS_HOST
from fnkit.platform.supervisor.options import StartOptions, queue_settings, runs_own_nats, runs_own_sqs
from fnkit.platform.supervisor.sqs_server import SQS_HOST

_DEFAULT_PORTS: Final = {
    "api_port": 8480,
    "gateway_port": 8481,
    "tls_port": 8482,
    "nats_port": 8483,
    "sqs_port": 8484,
}
"""The standard port of each listener, by its field in ``PlatformSettings``, in the order of reservation."""
_OPTIONAL_PORTS: Final = frozenset({"tls_port", "nats_port", "sqs_port"})
_MAX_PORTS_TRIED: Final = 100
_LINK_SECRET_BYTES: Final = 32


class AlreadyLocked(Exception):
    """Another process holds the lock of this data directory."""


def acquire_lock(data_dir: Path) -> int:
    """Lock the data directory, and return the descriptor that holds the lock.

    The kernel releases a flock(2) when its last descriptor closes, also after SIGKILL, so no stale lock remains.
    O_CLOEXEC keeps child processes from inheriting it and holding the lock longer than this process.

    Raises:
        AlreadyLocked: Another process is starting, running or resetting this platform.
    """
    descriptor = os.open(data_dir / "platform.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyLocked from None
    return descriptor


class PlatformPorts:
    """The ports of one platform, held until it stops.

    The supervisor listens on the ports of its own processes, which inherit the sockets
    (``fnkit.platform.listening_sockets``). The broker opens its port itself. On Linux, two sockets keep that port
    while nothing listens on it, so that neither the kernel nor another platform chooses it:

    - A TCP socket that is bound but does not listen. The kernel does not assign its port, and with SO_REUSEADDR on
      both sides the broker can still bind it and listen.
    - A Unix socket with a name in the abstract namespace, which is per network namespace, as ports are. Another
      platform that takes the port in either way fails to bind the same name.
    """

    def __init__(self) -> None:
        self._listening: dict[str, list[socket.socket]] = {}
        self._reserved: list[socket.socket] = []

    def descriptors(self, name: str) -> tuple[int, ...]:
        """Return the descriptors of the listening sockets of a port; none if it was not opened."""
        return tuple(one.fileno() for one in self._listening.get(name, ()))

    def listen(self, name: str, host: str, port: int) -> int:
        """Listen on a port, 0 for any free one, and return its number.

        Raises:
            ListenError: The port cannot be used.
        """
        sockets = listen(host, port)
        chosen = int(sockets[0].getsockname()[1])
        try:
            self._claim(host, chosen)
        except ListenError:
            for one in sockets:
                one.close()
            raise
        self._listening[name] = sockets
        return chosen

    def reserve(self, host: str, port: int) -> int:
        """Reserve a port for a process that opens it itself, 0 for any free one, and return its number.

        Raises:
            ListenError: The port cannot be used.
        """
        with contextlib.ExitStack() as opened:
            bound = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((host, port))
            except OSError as error:
                raise ListenError(error, host, port) from None
            port = int(bound.getsockname()[1])
            self._claim(host, port)
            if sys.platform == "linux":
                self._reserved.append(bound)
                opened.pop_all()  # it stays open until ``release``
        return port

    def _claim(self, host: str, port: int) -> None:
        if sys.platform != "linux":
            return
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0fnkit-port-{port}")
        except OSError as error:
            name.close()
            raise ListenError(error, host, port) from None
        self._reserved.append(name)

    def release(self) -> None:
        """Close all sockets."""
        for one in [*self._reserved, *(one for sockets in self._listening.values() for one in sockets)]:
            one.close()


def choose_port(
    take: Callable[[int], int], requested: int | None, *, default: int, excluded: frozenset[int], option: str
) -> int:
    """Take a port and return its number.

    Args:
        take: Takes a port, 0 for any free one.
        requested: The port that the user requested; 0 for any free one, ``None`` for the default.
        default: The default port; if it is in use, the next free one is taken.
        excluded: Ports that other listeners of the platform need.
        option: The command-line option, for error messages.

    Raises:
        PlatformError: ``port-in-use``, ``port-not-allowed`` or ``address-not-here``.
    """
    candidates = range(default, default + _MAX_PORTS_TRIED) if requested is None else (requested,)
    for port in candidates:
        if requested is None and port in excluded:
            continue
        try:
            return take(port)
        except ListenError as error:
            if requested is not None or error.errno != errno.EADDRINUSE:
                raise _port_error(error, option) from None
    raise PlatformError(
        f"No port from {default} to {default + _MAX_PORTS_TRIED - 1} is free.",
        code="port-in-use",
        hint=f"Choose one with {option}, or 0 for any.",
    )


def _port_error(error: ListenError, option: str) -> PlatformError:
    if error.errno == errno.EADDRINUSE:
        return PlatformError(
            f"Port {error.port} on {error.host} is in use by another program.",
            code="port-in-use",
            hint=f"Choose another one with {option}, or 0 for any free one.",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PlatformError(
            f"This user is not allowed to use port {error.port}.",
            code="port-not-allowed",
            hint=f"Choose a port above 1023 with {option}.",
        )
    return PlatformError(
        f"{error.host} is not an address of this machine: {error.reason}.",
        code="address-not-here",
        hint="Use --host 127.0.0.1, or an address that this machine has.",
    )


@dataclass(frozen=True, slots=True)
class PreparedPlatform:
    """What the supervisor needs to run the platform. It owns the lock and the ports.

    Attributes:
        layout: The data directory.
        settings: The settings of control. The data plane gets the same without those of brokers.
        run_file: The run file as it was written.
        lock_descriptor: Descriptor that holds the lock of the data directory.
        ports: Open for the processes.
    """

    layout: DataLayout
    settings: ProcessSettings = field(repr=False)  # contains secrets
    run_file: RunFile
    lock_descriptor: int
    ports: PlatformPorts


def prepare_platform(options: StartOptions) -> PreparedPlatform:
    """Lock the data directory and prepare what the processes need.

    Raises:
        AlreadyLocked: Another process is starting, running or resetting this platform.
        PlatformError: The directory, the credentials or a port cannot be used.
    """
    layout = DataLayout(Path(options.data_dir))
    create_data_dir(layout.data_dir)
    lock = acquire_lock(layout.data_dir)
    ports = PlatformPorts()
    try:
        layout.start_error_file.unlink(missing_ok=True)
        complete_restore(layout)
        remove_interrupted_backups(layout)
        check_store(layout)
        credentials = load_or_create_credentials(layout.credentials_file)
        (layout.logs_dir / "platform").mkdir(mode=0o700, parents=True, exist_ok=True)
        before = read_run_file(layout.run_file)
        if before is not None:
            _remove_stale_sockets(Path(before.socket_folder))
        settings = _open_ports(options, before.settings if before is not None else PlatformSettings(), ports)
        folder = create_socket_dir(layout.data_dir)
        started_at = process_start_time(os.getpid()) or ""
        run = RunFile(pid=os.getpid(), started_at=started_at, socket_folder=str(folder), settings=settings)
        if settings.tls_port:
            ensure_certificate_authority(layout)
        process_settings = ProcessSettings(
            **msgspec.structs.asdict(settings),
            data_dir=str(layout.data_dir),
            control_socket=str(folder / "control.sock"),
            gateway_socket=str(folder / "gateway.sock"),
            delivery_socket=str(folder / "delivery.sock"),
            **msgspec.structs.asdict(credentials),
            otlp=options.otlp,  # like the three below it contains secrets, so it is not in the run file
            loki_push=options.loki_push,
            queues=queue_settings(options, layout, settings.nats_port, settings.sqs_port),
            debugger=options.debugger,
            link_secret=secrets.token_hex(_LINK_SECRET_BYTES),
            listening=ListeningDescriptors(
                api=ports.descriptors("api_port"),
                gateway=ports.descriptors("gateway_port"),
                tls=ports.descriptors("tls_port"),
                sqs=ports.descriptors("sqs_port"),
            ),
        )
        write_run_file(layout.run_file, run)
    except BaseException:
        ports.release()
        os.close(lock)
        raise
    return PreparedPlatform(layout, process_settings, run, lock, ports)


def _open_ports(options: StartOptions, previous: PlatformSettings, held: PlatformPorts) -> PlatformSettings:
    """Open the ports of the platform, and return the settings with them.

    Args:
        options: The options of the start.
        previous: The settings of the last start, whose ports are taken where no port is requested.
        held: Holds the ports.

    Raises:
        PlatformError: A port cannot be used, or the brokers file is invalid.
    """
    requested: dict[str, int | Literal["none"] | None] = msgspec.structs.asdict(options.ports)
    # A listener without a requested port must not take one that was requested for another listener.
    taken = {port for port in requested.values() if isinstance(port, int) and port}
    ports: dict[str, int] = {}
    is_wanted = {"nats_port": runs_own_nats, "sqs_port": runs_own_sqs}
    for name, default in _DEFAULT_PORTS.items():
        port = requested[name]
        if port is None and name in _OPTIONAL_PORTS and options.ports.gateway_port == 0:
            # A start with any gateway port is probably one of several, which would compete for the default ports.
            port = 0
        if port == "none" or (name in is_wanted and not is_wanted[name](options)):
            ports[name] = 0
            continue
        ports[name] = choose_port(
            partial(held.reserve, NATS_HOST)
            if name == "nats_port"
            else partial(held.listen, name, SQS_HOST if name == "sqs_port" else options.settings.host),
            port,
            default=getattr(previous, name) or default,
            excluded=frozenset(taken),
            option=start_option(name).name,
        )
        taken.add(ports[name])
    return msgspec.structs.replace(options.settings, **ports)


def _remove_stale_sockets(directory: Path) -> None:
    """Remove the sockets of a platform that was killed. The lock is held, so that nothing uses them."""
    if directory.name.startswith("fnkit-") and is_private(directory):
        remove_tree(directory)
