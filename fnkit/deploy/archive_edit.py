"""Deploys a change of a function's own files by sending the end of its archive, where the platform has the rest.

Only the local platform can do this (``EditCode``). The result is that of an upload and a deploy of the same
archive: the platform puts the archive together and checks its digest. Whatever else changes takes the usual way, as
does everything that the platform refuses.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.platform import MAX_EDITED_BYTES, ArchiveEnd, EditCode
from fnkit.contract.requests import FunctionFields, UpdateFunction
from fnkit.contract.resources import Function
from fnkit.errors import ApiError

_CHUNK_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 4096
_REFUSED: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)


def changes_code_only(live: Function, wanted: UpdateFunction) -> bool:
    """Return whether an update changes nothing of a function but its code and its tags.

    Args:
        live: The function as it was observed.
        wanted: The update, with every setting.
    """
    if live.status != Status.READY or wanted.secret_environment_variables is not None:
        return False
    settings = [name for name in FunctionFields.__struct_fields__ if name not in _NO_SETTINGS]
    return all((getattr(live, name) or None) == (getattr(wanted, name) or None) for name in settings)


_NO_SETTINGS: Final = frozenset({"tags", "secret_environment_variables"})


def find_archive_end(previous: Path, archive: Path) -> ArchiveEnd | None:
    """Return how an archive ends differently from the previous one; ``None`` if one is missing, or it is too much.

    Args:
        previous: The archive that was deployed.
        archive: The archive to deploy.
    """
    try:
        with previous.open("rb") as old, archive.open("rb") as new:
            kept = _common_length(old, new)
            new.seek(0)
            digest = hashlib.file_digest(new, "sha256").hexdigest()
            new.seek(kept)
            content = new.read(MAX_EDITED_BYTES + 1)
    except OSError:
        return None
    if not kept or len(content) > MAX_EDITED_BYTES:
        return None
    return ArchiveEnd(sha256=digest, kept=kept, content=content)


def _common_length(old: BinaryIO, new: BinaryIO) -> int:
    """Return how many bytes both files begin with, rounded down to whole blocks."""
    length = 0
    while True:
        first, second = old.read(_CHUNK_BYTES), new.read(_CHUNK_BYTES)
        if first != second or not first:
            break
        length += len(first)
    for start in range(0, min(len(first), len(second)), _BLOCK_BYTES):
        end = start + _BLOCK_BYTES
        if first[start:end] != second[start:end]:
            break
        length += _BLOCK_BYTES
    return length - length % _BLOCK_BYTES


def deploy_end(api: FunctionsApi, live: Function, wanted: UpdateFunction, end: ArchiveEnd) -> Function | None:
    """Deploy the archive; return the function, or ``None`` if its archive has to be uploaded.

    Args:
        api: The API of a local platform.
        live: The function as it was observed.
        wanted: The update of which only the tags differ.
        end: How its archive ends.

    Raises:
        ApiError: The platform failed.
    """
    edit = EditCode(expected_tags=list(live.tags), tags=list(wanted.tags or ()), archive=end)
    try:
        result = api.functions.edit_code(live.id, edit)
    except ApiError as error:
        if error.status in _REFUSED:
            return None
        raise
    return None if result.error else api.functions.get(live.id)
