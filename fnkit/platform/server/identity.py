"""Who this platform is: its keys and ids, in Scaleway's form since Scaleway's clients check it, made once."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.store.api_keys import make_access_key
from fnkit.platform.store.private_file import write_private

__all__ = ["Identity", "load_identity", "make_identity"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """secret_key is a UUID and required as ``X-Auth-Token``; access_key is ``SCW`` and 17 of ``A-Z0-9``."""

    secret_key: str
    access_key: str
    project_id: str
    organization_id: str

    def __repr__(self) -> str:
        """Name the project alone: the secret key is one."""
        return f"Identity({self.project_id})"


def load_identity(file: Path) -> Identity | None:
    """Read the identity; ``None`` where there is none yet.

    Raises:
        PlatformError: ``identity-unreadable`` where the file is not one.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} cannot be read as this platform's identity.",
            code="identity-unreadable",
            hint="Restore it from a backup, or remove that file to get new keys.",
        ) from None


def make_identity(file: Path) -> Identity:
    """Read the identity, or make one and keep it (0600). The caller holds the platform's lock."""
    if known := load_identity(file):
        return known
    # Scaleway's first project carries its organization's id.
    project_id = str(uuid.uuid4())
    made = Identity(
        secret_key=str(uuid.uuid4()),
        access_key=make_access_key(),
        project_id=project_id,
        organization_id=project_id,
    )
    write_private(file, msgspec.json.encode(made))
    return made
