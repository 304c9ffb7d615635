"""The data directory and the socket directory of a platform, and the files in them that describe it.

Both directories must belong to the user and be closed to others. ``platform.json`` holds the credentials,
``run.json`` the pids and ports of the running platform.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.model.settings import BUILD_PREFIX, PlatformSettings

_ALLOWED_NAMES: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TMP", "TEMP"),
        *("FNKIT_CACHE", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"),
        *(
            "PYENV_ROOT",
            "UV_PYTHON_INSTALL_DIR",
            "NVM_DIR",
            "FNM_DIR",
            "VOLTA_HOME",
            "ASDF_DATA_DIR",
            "MISE_DATA_DIR",
        ),
        *("GOPATH", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE"),
        *("CARGO_HOME", "RUSTUP_HOME", "CARGO_NET_OFFLINE", "CARGO_NET_RETRY"),
        *("CARGO_HTTP_CAINFO", "CARGO_HTTP_MULTIPLEXING", "CARGO_HTTP_PROXY", "CARGO_HTTP_TIMEOUT"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),  # of the cluster that a Pod runs in
    }
)
_PROXY_NAMES: Final = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_ALLOWED_PREFIXES: Final = ("LC_", "XDG_", "COVERAGE_")

KNOWN_FILE_NAMES: Final = frozenset(
    {
        *("platform.json", "api-keys.json", "platform.lock", "run.json", "platform.db", "logs", "blobs", "keys"),
        "brokers.toml",
    }
)
"""A directory with one of these is a platform's, even if its first start was interrupted."""
_MAX_SOCKET_PATH_BYTES: Final = 107  # bytes of sockaddr_un.sun_path on Linux, without the final NUL (unix(7))
_MAX_SOCKET_NAME_BYTES: Final = len("/delivery.sock")


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the platform's processes inherit.

    This is an allow-list, since the names of variables with secrets cannot be enumerated. ``PYTHONUNBUFFERED`` is
    set so that the log contains the last output of a process that is killed. Proxies are meant for builds alone,
    so they get other names: the platform's own connections stay on this machine.
    """
    allowed = {
        name: value
        for name, value in environ.items()
        if name in _ALLOWED_NAMES or name.startswith(_ALLOWED_PREFIXES)
    }
    proxies = {
        BUILD_PREFIX + name: environ[name]
        for name in (*_PROXY_NAMES, *(name.lower() for name in _PROXY_NAMES))
        if name in environ
    }
    return allowed | proxies | {"PYTHONUNBUFFERED": "1"}


class PlatformCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a platform.

    Attributes:
        secret_key: A UUID, sent as ``X-Auth-Token``.
        access_key: ``SCW`` and 17 characters of ``A-Z0-9``.
        project_id: A UUID.
        organization_id: A UUID.
    """

    secret_key: str
    access_key: str
    project_id: str
    organization_id: str

    def __repr__(self) -> str:
        """Omit the secret key."""
        return f"PlatformCredentials({self.project_id})"


def load_credentials(file: Path) -> PlatformCredentials | None:
    """Read the credentials; ``None`` if the file does not exist.

    Raises:
        PlatformError: ``identity-unreadable`` if the file is invalid.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=PlatformCredentials)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} does not hold the credentials of this platform.",
            code="identity-unreadable",
            hint="Restore it from a backup, or remove the file to create new keys.",
        ) from None


def load_or_create_credentials(file: Path) -> PlatformCredentials:
    """Read the credentials, or create and store them (0600). The caller holds the platform's lock.

    Raises:
        PlatformError: ``identity-unreadable`` if the file is invalid.
    """
    if known := load_credentials(file):
        return known
    from fnkit.platform.control.store.api_keys import make_access_key  # only the first start needs the store

    # As at Scaleway, the first project has the id of its organization.
    project_id = str(uuid.uuid4())
    made = PlatformCredentials(
        secret_key=str(uuid.uuid4()),
        access_key=make_access_key(),
        project_id=project_id,
        organization_id=project_id,
    )
    write_private_file(file, msgspec.json.encode(made))
    return made


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """``run.json``. It remains when the platform stops, so that the next start reuses the ports.

    Attributes:
        pid: Pid of the supervisor.
        started_at: Start time of the supervisor, as reported by the system. A pid alone may have been reused; both
            together identify the process.
        socket_folder: The socket directory.
        settings: How the platform runs.
        control: Pid of control, 0 while it is not running.
        data_plane: Pid of the data plane, 0 while it is not running.
        nats: Pid of the NATS broker, 0 while it is not running.
        sqs: Pid of the SQS endpoint, 0 while it is not running.
    """

    pid: int
    started_at: str
    socket_folder: str
    settings: PlatformSettings
    control: int = 0
    data_plane: int = 0
    nats: int = 0
    sqs: int = 0


def read_run_file(file: Path) -> RunFile | None:
    """Read the run file; ``None`` if it does not exist or is invalid."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunFile)
    except (OSError, msgspec.MsgspecError):
        return None


def write_run_file(file: Path, run: RunFile) -> None:
    """Replace the run file atomically."""
    write_private_file(file, msgspec.json.format(msgspec.json.encode(run), indent=2))


def process_start_time(pid: int) -> str | None:
    """Return the start time of a process, in the system's format; ``None`` if it does not exist or is a zombie."""
    if pid <= 0:
        return None
    return _start_time_from_proc(pid) if Path("/proc/self/stat").exists() else _start_time_from_ps(pid)


def _start_time_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc(5): the name in parentheses (field 2) may contain spaces and parentheses, so the fields are counted after
    # its end. Field 3 is the state, field 22 the start time.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def _start_time_from_ps(pid: int) -> str | None:
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = listing.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None


def default_data_dir() -> Path:
    """Return ``$FNKIT_HOME``, or ``fnkit`` in the user's data directory (XDG, or the system's own convention)."""
    if home := os.environ.get("FNKIT_HOME"):
        return Path(home).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fnkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fnkit"
    data = os.environ.get("XDG_DATA_HOME") or ""
    # The XDG Base Directory Specification requires that relative paths are ignored.
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "fnkit"


def check_data_dir_readable(data_dir: Path) -> None:
    """Check that this user can look into the data directory, if it exists.

    What is in a directory of somebody else is unknown: it is not known either that no platform runs there.

    Raises:
        PlatformError: ``data-folder-owner`` or ``data-folder-permissions``.
    """
    try:
        owner = data_dir.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(data_dir, error) from None
    if os.access(data_dir, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return
    if owner != os.geteuid():
        raise _of_another_user(data_dir, owner)
    raise PlatformError(
        f"The data directory {data_dir} cannot be read.",
        code="data-folder-permissions",
        hint=f"Its owner needs all rights: chmod 700 {data_dir}",
    )


def _unusable(data_dir: Path, error: OSError) -> PlatformError:
    return PlatformError(
        f"The data directory {data_dir} cannot be used: {error.strerror}.",
        code="data-folder",
        hint="Choose another one with --data-dir or FNKIT_HOME.",
    )


def _of_another_user(data_dir: Path, owner: int) -> PlatformError:
    return PlatformError(
        f"The data directory {data_dir} belongs to another user (uid {owner}).",
        code="data-folder-owner",
        hint="Choose another one with --data-dir or FNKIT_HOME.",
    )


def create_data_dir(data_dir: Path) -> None:
    """Create the data directory with mode 0700, or check an existing one.

    An existing directory must belong to this user, be closed to others, and be empty or a platform's.

    Raises:
        PlatformError: ``data-folder`` if the directory cannot be created or read; ``data-folder-owner``,
            ``data-folder-permissions`` or ``data-folder-foreign`` if a check fails.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = data_dir.stat()
        names = {entry.name for entry in data_dir.iterdir()}
    except FileExistsError:
        raise PlatformError(
            f"{data_dir} is a file, not a directory.", code="data-folder", hint="Choose another data directory."
        ) from None
    except OSError as error:
        raise _unusable(data_dir, error) from None
    if found.st_uid != os.geteuid():
        raise _of_another_user(data_dir, found.st_uid)
    if names and not names & KNOWN_FILE_NAMES:
        raise PlatformError(
            f"{data_dir} contains other files and is not the data directory of a platform.",
            code="data-folder-foreign",
            hint="Choose an empty or a new directory.",
        )
    if not names:
        data_dir.chmod(0o700)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        raise PlatformError(
            f"Other users can read or write the data directory {data_dir}, which contains keys.",
            code="data-folder-permissions",
            hint=f"Check whether anyone did, then run: chmod 700 {data_dir}",
        )


def create_socket_dir(data_dir: Path) -> Path:
    """Create the private directory of this platform's sockets.

    It is ``$XDG_RUNTIME_DIR/fnkit-<hash of the data directory>``, or the same name in the temporary directory. The
    data directory itself may have a path that is too long for a socket address. If another user owns that name, a
    new random name is used.
    """
    name = f"fnkit-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:8]}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the last resort for long paths
        if not parent or not Path(parent).is_absolute():
            continue
        folder = Path(parent) / name
        if len(os.fsencode(folder)) + _MAX_SOCKET_NAME_BYTES <= _MAX_SOCKET_PATH_BYTES and _create_private_dir(
            folder
        ):
            return folder
    return Path(tempfile.mkdtemp(prefix="fnkit-", dir="/tmp"))


def is_private(directory: Path) -> bool:
    """Return whether this is a directory (not a symbolic link) of this user that is closed to others."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    mode = found.st_mode
    return stat.S_ISDIR(mode) and found.st_uid == os.geteuid() and stat.S_IMODE(mode) & 0o077 == 0


def _create_private_dir(directory: Path) -> bool:
    """Create a private directory; return whether it exists and is private now."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    return is_private(directory)
