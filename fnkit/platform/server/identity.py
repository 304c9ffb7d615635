"""The platform's credentials: its keys and ids, created once, in the formats that Scaleway's clients validate."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.store.api_keys import make_access_key
from fnkit.platform.store.private_file import write_private_file

__all__ = ["PlatformCredentials", "load_credentials", "load_or_create_credentials"]


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
        return f"Identity({self.project_id})"


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
