"""Records which builds the user has allowed, by project directory and declaration.

The records are in the user's state directory, where no repository can write. A changed declaration, such as another
index or another locked file, is not in them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from fnkit.bundler.builds.permission import BuildRequest
from fnkit.deploy.user_cache import write_private


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    directory: str
    digests: tuple[str, ...]


class AllowedBuilds:
    """The builds that the user has allowed.

    Args:
        environ: Environment variables, which determine the state directory.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        base = environ.get("XDG_STATE_HOME")
        self._folder = (Path(base) if base else Path.home() / ".local" / "state") / "fnkit" / "allowed-builds"

    def covers(self, request: BuildRequest) -> bool:
        """Return whether the user has allowed all of these builds."""
        return self._digests(request).issuperset(request.digests)

    def add(self, request: BuildRequest) -> None:
        """Record that the user allows these builds. If that cannot be written, the user is asked again."""
        record = _Record(
            directory=os.fspath(request.root), digests=tuple(sorted(self._digests(request).union(request.digests)))
        )
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._file(request), msgspec.json.encode(record))

    def _digests(self, request: BuildRequest) -> frozenset[str]:
        try:
            record = msgspec.json.decode(self._file(request).read_bytes(), type=_Record)
        except (OSError, msgspec.DecodeError):
            return frozenset()
        return frozenset(record.digests)

    def _file(self, request: BuildRequest) -> Path:
        name = hashlib.sha256(os.fsencode(request.root)).hexdigest()[:32]
        return self._folder / f"{name}.json"
