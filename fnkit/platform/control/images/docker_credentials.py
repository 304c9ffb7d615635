"""The credentials that ``docker login`` has stored in ``~/.docker/config.json``."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.images.image_reference import DOCKER_HUB, ImageReference

_MAX_BYTES: Final = 1024 * 1024
_DOCKER_HUB_KEYS: Final = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")


class _Entry(msgspec.Struct, frozen=True):
    """Credentials for one registry: base64 of both, or each."""

    auth: str = ""
    username: str = ""
    password: str = ""


class _DockerConfig(msgspec.Struct, frozen=True):
    auths: dict[str, _Entry] = {}


def read_credentials(reference: ImageReference, docker_config: Path) -> str | None:
    """Return the credentials for a registry, as the value of an ``Authorization`` header.

    Only ``auths`` is read; credential helpers are programs and are not run.

    Args:
        reference: An image of the registry.
        docker_config: The file. It need not exist.
    """
    try:
        with docker_config.open("rb") as file:
            config = msgspec.json.decode(file.read(_MAX_BYTES), type=_DockerConfig)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # Keys are hosts, or URLs of an older format.
    by_host = {
        key.removeprefix("https://").removeprefix("http://").partition("/")[0].lower(): entry
        for key, entry in config.auths.items()
    }
    keys = _DOCKER_HUB_KEYS if reference.registry == DOCKER_HUB else (reference.registry,)
    pairs = (_read_pair(by_host[key]) for key in keys if key in by_host)
    return next((f"Basic {base64.b64encode(pair).decode()}" for pair in pairs if b":" in pair), None)


def _read_pair(entry: _Entry) -> bytes:
    """Return user and password, joined with a colon; empty if there are none, as beside a credential helper."""
    if entry.username and entry.password:
        return f"{entry.username}:{entry.password}".encode()
    try:
        return base64.b64decode(entry.auth, validate=True).rstrip(b"\0")
    except ValueError:
        return b""
