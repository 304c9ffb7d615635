"""Start, find, stop and reset a platform from another process, and manage its API keys."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.platform import TriggerListening
from fnkit.errors import PlatformError
from fnkit.platform.layout import Layout
from fnkit.platform.server.broker_options import with_variables
from fnkit.platform.server.environment import platform_environment
from fnkit.platform.server.health import ask_health, ask_info, reachable_host
from fnkit.platform.server.home import default_home, make_home
from fnkit.platform.server.identity import Identity, load_identity
from fnkit.platform.server.nats_server import make_nats_identity, nats_server, nats_url
from fnkit.platform.server.options import StartOptions
from fnkit.platform.server.platform_log import not_healthy
from fnkit.platform.server.running import RunFile, process_started, read_run_file
from fnkit.platform.server.spoken import Spoken

__all__ = [
    "Description",
    "RunningPlatform",
    "check_machine",
    "describe",
    "ensure_running",
    "reset",
    "running",
    "stop",
]

_POLL: Final = 0.02
_STOP_SECONDS: Final = 15.0
_KEPT_BY_RESET: Final = frozenset(
    {"platform.json", "api-keys.json", "platform.lock", "run.json", "tls", "nats.json", "brokers.toml"}
)


@dataclass(frozen=True, slots=True)
class RunningPlatform:
    """A platform whose supervisor is running."""

    home: Path
    run: RunFile
    identity: Identity

    @property
    def api_url(self) -> str:
        """URL of the API, without a trailing slash."""
        return _url(self.run.host, self.run.api_port)

    @property
    def secret_key(self) -> str:
        """The platform's own API key."""
        return self.identity.secret_key

    @property
    def project_id(self) -> str:
        """The platform's default project."""
        return self.identity.project_id

    @property
    def gateway_url(self) -> str:
        """URL of the gateway, without a trailing slash."""
        return _url(self.run.host, self.run.gateway_port)

    @property
    def gateway_tls_url(self) -> str:
        """HTTPS URL of the gateway; empty if TLS is off."""
        return _url(self.run.host, self.run.tls_port, "https") if self.run.tls_port else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The status of the platform in a data directory.

    URLs of listeners that do not exist are empty, pids of processes that do not run are 0.

    Attributes:
        ca_certificate_file: Path of the CA certificate that HTTPS clients must trust; empty if TLS is off.
        nats_unavailable_reason: How to get a NATS broker, if nats-server is not installed.
        triggers: The state of each queue trigger.
    """

    running: bool
    healthy: bool
    data_dir: Path
    api_url: str = ""
    gateway_url: str = ""
    gateway_tls_url: str = ""
    ca_certificate: str = ""
    console_url: str = ""
    nats_url: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    access_key: str = ""
    project_id: str = ""
    organization_id: str = ""
    pid: int = 0
    control: int = 0
    data_plane: int = 0
    nats: int = 0
    why_no_nats: str = ""
    triggers: tuple[TriggerListening, ...] = ()
    isolation: str = ""


def check_machine() -> None:
    """Check that the platform supports this operating system.

    Raises:
        PlatformError: ``platform-not-on-windows``.
    """
    if sys.platform == "win32":
        raise PlatformError(
            "The platform does not run on Windows.",
            code="platform-not-on-windows",
            hint="Install fnkit in WSL 2 and start the platform there.",
        )


def running(home: Path | None = None) -> RunningPlatform | None:
    """Return the platform of a data directory, by default the user's; ``None`` if it is not running.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    layout = Layout(home or default_home())
    run = read_run_file(layout.run)
    if run is None or process_started(run.pid) != run.started:
        return None
    identity = load_identity(layout.identity)
    return RunningPlatform(layout.home, run, identity) if identity is not None else None


def describe(home: Path | None = None) -> Description:
    """Return the status of the platform of a data directory, by default the user's.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    found = running(home)
    if found is None:
        return Description(running=False, healthy=False, data_dir=home or default_home())
    run, identity, layout = found.run, found.identity, Layout(found.home)
    health = ask_health(run.host, run.api_port)
    info = ask_info(run.host, run.api_port, identity.secret_key)
    return Description(
        running=True,
        healthy=health.ready,
        data_dir=found.home,
        api_url=found.api_url,
        gateway_url=found.gateway_url,
        gateway_tls_url=found.gateway_tls_url,
        ca_certificate=str(Layout(found.home).authority_certificate) if run.tls_port else "",
        console_url=info.console_url if info is not None else "",
        secret_key=identity.secret_key,
        access_key=identity.access_key,
        project_id=identity.project_id,
        organization_id=identity.organization_id,
        pid=run.pid,
        control=run.control,
        data_plane=run.data_plane,
        isolation=health.isolation or run.isolation,
        nats=run.nats,
        nats_url=_nats_url(layout, run),
        why_no_nats="" if run.nats_port or nats_server() is not None else "install it: pip install 'fnkit[queues]'",
        triggers=tuple(info.triggers) if info is not None else (),
    )


def _nats_url(layout: Layout, run: RunFile) -> str:
    """Return the URL of the platform's own broker with its credentials; empty if it does not run."""
    return nats_url(make_nats_identity(layout.nats_identity), run.nats_port) if run.nats_port else ""


def ensure_running(options: StartOptions | None = None) -> RunningPlatform:
    """Return the platform once it is healthy; start it in the background if it is not running.

    Several processes may call this at once: one platform starts and all of them get it.

    Args:
        options: How to start; by default in the user's data directory, with the ports of the last start.

    Raises:
        PlatformError: The platform cannot be started, or is not healthy in time.
    """
    check_machine()
    options = options or StartOptions(home=str(default_home()))
    layout = Layout(Path(options.home))
    deadline = time.monotonic() + options.wait
    started = False
    while True:
        found = running(layout.home)
        if found is not None and ask_health(found.run.host, found.run.api_port).ready:
            return found
        if found is None and started:
            raise not_healthy(layout, "it exited")
        if found is None:
            started = _start(with_variables(options, os.environ))
        if time.monotonic() > deadline:
            if started:
                stop(layout.home)
            raise not_healthy(layout, f"it did not become healthy within {options.wait:g} s")
        time.sleep(_POLL)


def stop(home: Path | None = None) -> bool:
    """Stop the platform, with SIGKILL after 15 seconds; return whether it was running.

    Raises:
        PlatformError: ``platform-not-yours`` if it runs as another user.
    """
    found = running(home)
    if found is None:
        return False
    deadline = time.monotonic() + _STOP_SECONDS
    _signal(found.run.pid, signal.SIGTERM)
    while process_started(found.run.pid) == found.run.started:
        if time.monotonic() > deadline:
            _signal(found.run.pid, signal.SIGKILL)
        time.sleep(_POLL)
    return True


def reset(home: Path | None = None) -> None:
    """Stop the platform and delete its data, except credentials, ports, CA and the brokers file.

    Raises:
        PlatformError: ``platform-running`` if it was started again meanwhile; ``platform-not-yours`` and the errors
            of ``create_data_dir``.
    """
    from fnkit.platform.server.lock import TakenError, take_lock

    layout = Layout(home or default_home())
    stop(layout.home)
    if not layout.home.is_dir():
        return
    make_home(layout.home)
    try:
        lock = take_lock(layout.home)
    except TakenError:
        raise PlatformError(
            "The platform was started while it was being reset.",
            code="platform-running",
            hint="Run `fnkit platform reset` again.",
        ) from None
    try:
        for entry in layout.home.iterdir():
            if entry.name not in _KEPT_BY_RESET:
                _remove(entry)
    finally:
        os.close(lock)


def _start(options: StartOptions) -> bool:
    """Start a detached supervisor; return false if another one already holds the platform's lock.

    Raises:
        PlatformError: The error that the supervisor reports.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-P", "-m", "fnkit.platform.server.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=platform_environment(os.environ),
        start_new_session=True,
    )
    if supervisor.stdin is None or supervisor.stdout is None:
        raise AssertionError("stdin and stdout are pipes")
    with supervisor.stdin, supervisor.stdout:
        supervisor.stdin.write(msgspec.json.encode(options))
        supervisor.stdin.close()
        line = supervisor.stdout.readline()
    if not line:
        raise PlatformError("The platform's supervisor exited without reporting an error.", code="platform-start")
    result = msgspec.json.decode(line, type=Spoken)
    if result.code:
        supervisor.wait()
        raise PlatformError(result.message, code=result.code, hint=result.hint)
    if result.taken:
        supervisor.wait()
        return False
    # The supervisor outlives this process. A set return code keeps Popen from warning that it still runs.
    supervisor.returncode = 0
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PlatformError(f"The platform (pid {pid}) runs as another user.", code="platform-not-yours") from None


def _remove(entry: Path) -> None:
    """Remove a file or a directory tree, including read-only directories."""
    if not entry.is_dir() or entry.is_symlink():
        entry.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(entry):
        Path(folder).chmod(0o700)
    shutil.rmtree(entry)


def _url(host: str, port: int, scheme: str = "http") -> str:
    address = reachable_host(host)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
