"""The way into the platform for programs outside it: start, find, stop and reset one, read its logs and its keys.

The command line imports nothing else of the platform, so the values and functions that it needs are exported here.
What only a start needs (the supervisor, asyncio, cryptography) is imported when one happens.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from fnkit.contract.distribution import extra_install_hint
from fnkit.contract.platform import API_KEYS_PATH, ApiKey, ApiKeyList, CreateApiKey, TriggerStatus
from fnkit.errors import PlatformError
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.model.debugger import Debugger
from fnkit.platform.model.request_log import API_LOG, parse_logged_request
from fnkit.platform.model.settings import DataLayout, PlatformSettings, SettingDifference
from fnkit.platform.model.start_error import decode_start_error
from fnkit.platform.supervisor.backup_file import BackupManifest
from fnkit.platform.supervisor.data_directory import (
    PlatformCredentials,
    RunFile,
    check_data_dir_readable,
    child_environment,
    create_data_dir,
    default_data_dir,
    load_credentials,
    process_start_time,
    read_run_file,
)
from fnkit.platform.supervisor.health import fetch_health, fetch_platform_info, reachable_host, send_request
from fnkit.platform.supervisor.log_files import LogFileFollower, not_healthy_error, tail_log
from fnkit.platform.supervisor.manifests import Installation, build_manifests
from fnkit.platform.supervisor.nats_server import find_nats_server, own_nats_url
from fnkit.platform.supervisor.options import (
    StartOptions,
    StartupResult,
    find_conflict,
    start_options,
    with_broker_environment,
)
from fnkit.platform.supervisor.sqs_server import (
    is_sqs_server_installed,
    load_or_create_sqs_keys,
    own_sqs_endpoint,
)
from fnkit.platform.supervisor.trust_store import CaCertificate, TrustStore, find_trust_store, read_ca_certificate

__all__ = [
    "API_LOG",
    "BackupManifest",
    "CaCertificate",
    "Debugger",
    "Installation",
    "LogFileFollower",
    "PlatformStatus",
    "RunningPlatform",
    "SettingDifference",
    "StartOptions",
    "TrustStore",
    "backup_platform",
    "build_manifests",
    "check_data_dir_readable",
    "check_operating_system",
    "create_api_key",
    "default_data_dir",
    "delete_api_key",
    "ensure_running",
    "find_conflict",
    "find_running_platform",
    "find_trust_store",
    "has_data",
    "list_api_keys",
    "parse_logged_request",
    "platform_status",
    "read_ca_certificate",
    "reset_platform",
    "restore_platform",
    "run_in_foreground",
    "start_options",
    "stop_platform",
    "tail_log",
]

_POLL_INTERVAL: Final = 0.02
_STOP_TIMEOUT: Final = 15.0
_FILES_KEPT_BY_RESET: Final = frozenset(
    {"platform.json", "api-keys.json", "platform.lock", "run.json", "tls", "nats.json", "sqs.json", "brokers.toml"}
)

T = TypeVar("T")
_REQUEST_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunningPlatform:
    """A platform whose supervisor is running."""

    data_dir: Path
    run_file: RunFile
    credentials: PlatformCredentials

    @property
    def settings(self) -> PlatformSettings:
        """How the platform runs."""
        return self.run_file.settings

    @property
    def api_url(self) -> str:
        """URL of the API, without a trailing slash."""
        return _http_url(self.settings.host, self.settings.api_port)

    @property
    def secret_key(self) -> str:
        """The platform's own API key."""
        return self.credentials.secret_key

    @property
    def project_id(self) -> str:
        """The platform's default project."""
        return self.credentials.project_id

    @property
    def gateway_url(self) -> str:
        """URL of the gateway, without a trailing slash."""
        return _http_url(self.settings.host, self.settings.gateway_port)

    @property
    def gateway_tls_url(self) -> str:
        """HTTPS URL of the gateway; empty if TLS is off."""
        return _http_url(self.settings.host, self.settings.tls_port, "https") if self.settings.tls_port else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformStatus:
    """The status of the platform in a data directory.

    URLs of listeners that do not exist are empty, pids of processes that do not run are 0.

    Attributes:
        ca_certificate_file: Path of the CA certificate that HTTPS clients must trust; empty if TLS is off.
        sqs_endpoint: URL of the SQS endpoint, which ``sqs_access_key`` and ``sqs_secret_key`` open.
        sqs_pid: 0 also before the first client connected to the endpoint.
        nats_unavailable_reason: How to get a NATS broker, if nats-server is not installed.
        sqs_unavailable_reason: The same for the SQS endpoint.
        triggers: The state of each queue trigger.
    """

    is_running: bool
    is_healthy: bool
    data_dir: Path
    api_url: str = ""
    gateway_url: str = ""
    gateway_tls_url: str = ""
    ca_certificate_file: str = ""
    console_url: str = ""
    nats_url: str = field(default="", repr=False)
    sqs_endpoint: str = ""
    sqs_access_key: str = field(default="", repr=False)
    sqs_secret_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    access_key: str = ""
    project_id: str = ""
    organization_id: str = ""
    supervisor_pid: int = 0
    control_pid: int = 0
    data_plane_pid: int = 0
    nats_pid: int = 0
    nats_unavailable_reason: str = ""
    sqs_pid: int = 0
    sqs_unavailable_reason: str = ""
    triggers: tuple[TriggerStatus, ...] = ()
    isolation: str = ""


def check_operating_system() -> None:
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


def find_running_platform(data_dir: Path | None = None) -> RunningPlatform | None:
    """Return the platform of a data directory, by default the user's; ``None`` if it is not running.

    Raises:
        PlatformError: ``identity-unreadable``, or as ``check_data_dir_readable``.
    """
    layout = DataLayout(data_dir or default_data_dir())
    check_data_dir_readable(layout.data_dir)
    run = read_run_file(layout.run_file)
    if run is None or process_start_time(run.pid) != run.started_at:
        return None
    identity = load_credentials(layout.credentials_file)
    return RunningPlatform(layout.data_dir, run, identity) if identity is not None else None


def platform_status(data_dir: Path | None = None) -> PlatformStatus:
    """Return the status of the platform of a data directory, by default the user's.

    Raises:
        PlatformError: As ``find_running_platform``.
    """
    found = find_running_platform(data_dir)
    if found is None:
        return PlatformStatus(is_running=False, is_healthy=False, data_dir=data_dir or default_data_dir())
    run, settings, identity = found.run_file, found.settings, found.credentials
    layout = DataLayout(found.data_dir)
    health = fetch_health(settings.host, settings.api_port)
    info = fetch_platform_info(settings.host, settings.api_port, identity.secret_key)
    sqs_keys = load_or_create_sqs_keys(layout.sqs_keys_file) if settings.sqs_port else None
    missing = f"not installed; {extra_install_hint('queues')}"
    return PlatformStatus(
        is_running=True,
        is_healthy=health.is_ready,
        data_dir=found.data_dir,
        api_url=found.api_url,
        gateway_url=found.gateway_url,
        gateway_tls_url=found.gateway_tls_url,
        ca_certificate_file=str(layout.ca_certificate_file) if settings.tls_port else "",
        console_url=info.console_url if info is not None else "",
        **msgspec.structs.asdict(identity),
        supervisor_pid=run.pid,
        control_pid=run.control,
        data_plane_pid=run.data_plane,
        isolation=health.isolation or settings.isolation,
        nats_pid=run.nats,
        nats_url=own_nats_url(layout.nats_credentials_file, settings.nats_port),
        nats_unavailable_reason="" if settings.nats_port or find_nats_server() is not None else missing,
        sqs_pid=run.sqs,
        sqs_endpoint=own_sqs_endpoint(settings.sqs_port),
        sqs_access_key=sqs_keys.access_key if sqs_keys is not None else "",
        sqs_secret_key=sqs_keys.secret_key if sqs_keys is not None else "",
        sqs_unavailable_reason="" if settings.sqs_port or is_sqs_server_installed() else missing,
        triggers=tuple(info.triggers) if info is not None else (),
    )


def ensure_running(
    options: StartOptions | None = None, *, on_start: Callable[[], None] = lambda: None
) -> RunningPlatform:
    """Return the platform once it is healthy; start it in the background if it is not running.

    Several processes may call this at once: one platform starts and all of them get it.

    Args:
        options: How to start; by default in the user's data directory, with the ports of the last start.
        on_start: Called once a platform that this call started is healthy.

    Raises:
        PlatformError: The platform cannot be started, or is not healthy in time.
    """
    check_operating_system()
    options = options or StartOptions(data_dir=str(default_data_dir()))
    layout = DataLayout(Path(options.data_dir))
    deadline = time.monotonic() + options.start_timeout
    started = False
    while True:
        found = find_running_platform(layout.data_dir)
        if found is not None and fetch_health(found.settings.host, found.settings.api_port).is_ready:
            if started:
                on_start()
            return found
        if found is None and started:
            raise _take_start_error(layout) or not_healthy_error(layout, "it exited")
        if found is None:
            started = _start_supervisor(with_broker_environment(options, os.environ))
        if time.monotonic() > deadline:
            if started:
                stop_platform(layout.data_dir)
            raise not_healthy_error(layout, f"it did not become healthy within {options.start_timeout:g} s")
        time.sleep(_POLL_INTERVAL)


def _take_start_error(layout: DataLayout) -> PlatformError | None:
    """Return why the start in the background failed, and remove the file that says so."""
    try:
        content = layout.start_error_file.read_bytes()
        layout.start_error_file.unlink()
    except OSError:
        return None
    return decode_start_error(content)


def run_in_foreground(
    options: StartOptions, *, on_start: Callable[[], None], on_healthy: Callable[[], None]
) -> bool:
    """Run the platform with this process as its supervisor, until a signal stops it.

    Args:
        options: How to start.
        on_start: Called when the start is prepared, before any process runs.
        on_healthy: Called once, from another thread, when the platform is healthy.

    Returns:
        Whether it ran: false if another process is starting or running this platform.

    Raises:
        PlatformError: The platform cannot be started, or is not healthy in time.
    """
    from fnkit.platform.supervisor.startup import AlreadyLocked, prepare_platform
    from fnkit.platform.supervisor.supervisor import supervise

    try:
        prepared = prepare_platform(with_broker_environment(options, os.environ))
    except AlreadyLocked:
        return False
    on_start()
    supervise(prepared, on_healthy, start_timeout=options.start_timeout)
    return True


def stop_platform(data_dir: Path | None = None) -> bool:
    """Stop the platform, with SIGKILL after 15 seconds; return whether it was running.

    Raises:
        PlatformError: ``platform-not-yours`` if it runs as another user.
    """
    found = find_running_platform(data_dir)
    if found is None:
        return False
    deadline = time.monotonic() + _STOP_TIMEOUT
    _send_signal(found.run_file.pid, signal.SIGTERM)
    while process_start_time(found.run_file.pid) == found.run_file.started_at:
        if time.monotonic() > deadline:
            _send_signal(found.run_file.pid, signal.SIGKILL)
        time.sleep(_POLL_INTERVAL)
    return True


def reset_platform(data_dir: Path | None = None) -> None:
    """Stop the platform and delete its data, except credentials, ports, CA and the brokers file.

    Args:
        data_dir: Its data directory; by default the user's.

    Raises:
        PlatformError: ``platform-running`` if it was started again meanwhile; ``platform-not-yours`` and the errors
            of ``create_data_dir``.
    """
    layout = DataLayout(data_dir or default_data_dir())
    stop_platform(layout.data_dir)
    if not layout.data_dir.is_dir():
        return
    create_data_dir(layout.data_dir)
    with _exclusive(layout):
        for entry in layout.data_dir.iterdir():
            if entry.name not in _FILES_KEPT_BY_RESET:
                _remove_entry(entry)


def backup_platform(target: Path, data_dir: Path) -> BackupManifest:
    """Write a backup of a platform to a file. The platform may be running.

    Raises:
        PlatformError: As ``create_backup``.
        OSError: A file cannot be read or written. ``target`` is unchanged.
    """
    from fnkit.platform.supervisor.backup import complete_restore, create_backup

    layout = DataLayout(data_dir)
    check_data_dir_readable(data_dir)
    if layout.restore_dir.exists():  # of a restore that was killed; no platform runs in this state
        with _exclusive(layout):
            complete_restore(layout)
    return create_backup(layout, target)


def has_data(data_dir: Path) -> bool:
    """Return whether a data directory contains anything that a restore would replace.

    Raises:
        PlatformError: As ``check_data_dir_readable``.
    """
    check_data_dir_readable(data_dir)
    layout = DataLayout(data_dir)
    return any(
        one.exists() for one in (layout.credentials_file, layout.database, layout.keys_dir, layout.blobs_dir)
    )


def check_stopped(data_dir: Path) -> None:
    """Check that nothing uses an existing data directory.

    Raises:
        PlatformError: ``platform-running``.
    """
    with _exclusive(DataLayout(data_dir)):
        pass


def restore_platform(source: Path, data_dir: Path) -> BackupManifest:
    """Replace the data of a stopped platform with that of a backup.

    Raises:
        PlatformError: ``platform-running``; otherwise as ``create_data_dir`` and ``restore_backup``.
        OSError: A file cannot be read or written.
    """
    from fnkit.platform.supervisor.backup import restore_backup

    layout = DataLayout(data_dir)
    create_data_dir(layout.data_dir)
    with _exclusive(layout):
        return restore_backup(layout, source)


@contextmanager
def _exclusive(layout: DataLayout) -> Iterator[None]:
    """Hold the lock of a data directory.

    Raises:
        PlatformError: ``platform-running``.
    """
    from fnkit.platform.supervisor.startup import AlreadyLocked, acquire_lock

    try:
        lock = acquire_lock(layout.data_dir)
    except AlreadyLocked:
        raise PlatformError(
            f"The platform in {layout.data_dir} is running or being changed by another command.",
            code="platform-running",
            hint="Run `fnkit platform stop`, then try again.",
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _start_supervisor(options: StartOptions) -> bool:
    """Start a detached supervisor; return false if another one already holds the platform's lock.

    Raises:
        PlatformError: The error that the supervisor reports.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-P", "-m", "fnkit.platform.supervisor.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(os.environ),
        start_new_session=True,
    )
    if supervisor.stdin is None or supervisor.stdout is None:
        raise AssertionError("stdin and stdout are pipes")
    try:
        with supervisor.stdin, supervisor.stdout:
            supervisor.stdin.write(msgspec.json.encode(options))
            supervisor.stdin.close()
            line = supervisor.stdout.readline()
    except BaseException:  # interrupted: nobody could find a supervisor that has not written its run file yet
        _end_supervisor(supervisor)
        raise
    if not line:
        raise PlatformError("The platform's supervisor exited without reporting an error.", code="platform-start")
    result = msgspec.json.decode(line, type=StartupResult)
    if result.code:
        supervisor.wait()
        raise PlatformError(result.message, code=result.code, hint=result.hint)
    if result.already_running:
        supervisor.wait()
        return False
    # The supervisor outlives this process. A set return code keeps Popen from warning that it still runs.
    supervisor.returncode = 0
    return True


def _end_supervisor(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.terminate()
    try:
        supervisor.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


def _send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PlatformError(f"The platform (pid {pid}) runs as another user.", code="platform-not-yours") from None


def _remove_entry(path: Path) -> None:
    if not remove_tree(path):
        raise PlatformError(
            f"{path} could not be removed.",
            code="not-removed",
            hint="Remove it by hand as the user that owns it, then reset again.",
        )


def _http_url(host: str, port: int, scheme: str = "http") -> str:
    address = reachable_host(host)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


class _ApiErrorBody(msgspec.Struct, frozen=True):
    """The body of an error response."""

    message: str = "no reason given"


def create_api_key(platform: RunningPlatform, request: CreateApiKey) -> ApiKey:
    """Create an API key. Only this response contains its secret.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "POST", API_KEYS_PATH, ApiKey, msgspec.json.encode(request))


def list_api_keys(platform: RunningPlatform) -> ApiKeyList:
    """Return all API keys except the platform's own.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "GET", API_KEYS_PATH, ApiKeyList)


def delete_api_key(platform: RunningPlatform, access_key: str) -> ApiKey:
    """Delete an API key.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "DELETE", f"{API_KEYS_PATH}/{quote(access_key, safe='')}", ApiKey)


def _request(
    platform: RunningPlatform, method: str, path: str, response_type: type[T], body: bytes | None = None
) -> T:
    host, port = platform.settings.host, platform.settings.api_port
    headers = {"X-Auth-Token": platform.secret_key}
    try:
        status, content = send_request(host, port, method, path, headers, body=body, timeout=_REQUEST_TIMEOUT)
        if status == http.client.OK:
            return msgspec.json.decode(content, type=response_type)
        error = msgspec.json.decode(content, type=_ApiErrorBody)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        raise PlatformError(
            f"The platform at {platform.api_url} does not answer requests for its API keys.",
            code="platform-no-answer",
            hint="Run `fnkit platform status` or `fnkit platform logs` for details.",
        ) from None
    hint = "Run `fnkit platform api-key list` to list them." if status == http.client.NOT_FOUND else ""
    raise PlatformError(f"The platform rejected the request: {error.message}.", code="key-refused", hint=hint)
