"""The platform's data folder and its socket folder: where they are, and that nobody else can read them."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError

__all__ = ["default_home", "is_private", "make_home", "socket_folder"]

KNOWN_NAMES: Final = frozenset(
    {
        *("platform.json", "api-keys.json", "platform.lock", "run.json", "platform.db", "logs", "blobs", "keys"),
        "brokers.toml",
    }
)
"""What marks a folder as a platform's, also one whose first start was cut off."""

_SOCKET_PATH_LIMIT: Final = 107
_LONGEST_SOCKET_NAME: Final = len("/delivery.sock")


def default_home() -> Path:
    """``$FNKIT_HOME``, else ``fnkit`` in the user's data folder (XDG; Apple's and Windows' own elsewhere)."""
    if home := os.environ.get("FNKIT_HOME"):
        return Path(home).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fnkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fnkit"
    data = os.environ.get("XDG_DATA_HOME") or ""
    # The XDG specification says that a relative path is to be ignored.
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "fnkit"


def make_home(home: Path) -> None:
    """Make the data folder, 0700; an existing one must be ours, private, and a platform's or empty.

    Raises:
        PlatformError: ``data-folder-owner``, ``data-folder-permissions`` or ``data-folder-foreign``; or
            ``data-folder`` where it cannot be made.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
        names = {entry.name for entry in home.iterdir()}
    except FileExistsError:
        raise PlatformError(
            f"{home} is a file, not a folder.", code="data-folder", hint="Choose another data folder."
        ) from None
    except OSError as error:
        raise PlatformError(
            f"The data folder {home} cannot be used: {error.strerror}.",
            code="data-folder",
            hint="Choose another one with --data-dir or FNKIT_HOME.",
        ) from None
    if found.st_uid != os.geteuid():
        raise PlatformError(
            f"The data folder {home} belongs to another user (uid {found.st_uid}).",
            code="data-folder-owner",
            hint="Choose another one with --data-dir or FNKIT_HOME.",
        )
    if names and not names & KNOWN_NAMES:
        raise PlatformError(
            f"{home} holds files that are not a platform's, so it is left alone.",
            code="data-folder-foreign",
            hint="Choose an empty or new folder.",
        )
    if not names:
        home.chmod(0o700)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        raise PlatformError(
            f"Others may read or write the data folder {home}, and it holds keys.",
            code="data-folder-permissions",
            hint=f"Look whether anybody did, then: chmod 700 {home}",
        )


def socket_folder(home: Path) -> Path:
    """Make the folder of this platform's sockets, 0700 and ours, short enough for a socket's address.

    ``$XDG_RUNTIME_DIR/fnkit-<8 hex of the home>``, else the same name in the temporary directory; where
    somebody else holds that name, a fresh one (decision 20).
    """
    name = f"fnkit-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the last resort for long paths
        if not parent or not Path(parent).is_absolute():
            continue
        folder = Path(parent) / name
        if len(os.fsencode(folder)) + _LONGEST_SOCKET_NAME <= _SOCKET_PATH_LIMIT and _make_private(folder):
            return folder
    return Path(tempfile.mkdtemp(prefix="fnkit-", dir="/tmp"))


def is_private(folder: Path) -> bool:
    """Whether it is a folder, ours, and closed to everybody else. ``lstat``: a link is not."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mode = found.st_mode
    return stat.S_ISDIR(mode) and found.st_uid == os.geteuid() and stat.S_IMODE(mode) & 0o077 == 0


def _make_private(folder: Path) -> bool:
    """Make the folder, or accept it where it is ours and nobody else's."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    return is_private(folder)
