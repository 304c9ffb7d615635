"""The data directory and the socket directory of a platform, and the files in them that describe it.

Both directories must belong to the user and be closed to others. ``platform.json`` holds the credentials,
``run.json`` the pids and ports of the running platform.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError

__all__ = ["default_data_dir", "is_private", "create_data_dir", "create_socket_dir"]

KNOWN_FILE_NAMES: Final = frozenset(
    {
        *("platform.json", "api-keys.json", "platform.lock", "run.json", "platform.db", "logs", "blobs", "keys"),
        "brokers.toml",
    }
)
"""A directory with one of these is a platform's, even if its first start was interrupted."""

_MAX_SOCKET_PATH_BYTES: Final = 107  # bytes of sockaddr_un.sun_path on Linux, without the final NUL (unix(7))
_MAX_SOCKET_NAME_BYTES: Final = len("/delivery.sock")


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
        raise PlatformError(
            f"The data directory {data_dir} cannot be used: {error.strerror}.",
            code="data-folder",
            hint="Choose another one with --data-dir or FNKIT_HOME.",
        ) from None
    if found.st_uid != os.geteuid():
        raise PlatformError(
            f"The data directory {data_dir} belongs to another user (uid {found.st_uid}).",
            code="data-folder-owner",
            hint="Choose another one with --data-dir or FNKIT_HOME.",
        )
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
