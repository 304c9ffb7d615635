"""The layers of all images, stored as files named by their digest.

A layer is written to a temporary file and renamed, so a file under its digest is complete unless the machine lost
power; it is then noticed by its size. Layers are not synced: they can be made again from what they were made of.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

from fnkit.platform.control.images.layer import LayerWriter
from fnkit.platform.model.images import ImageLayer

_DIGEST: Final = re.compile("[0-9a-f]{64}")
_PREFIX: Final = ".incoming-"


class LayerStore:
    """The directory of layers. Temporary files of an interrupted process are deleted on construction.

    Args:
        directory: Created if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in directory.glob(f"{_PREFIX}*"):
            leftover.unlink(missing_ok=True)

    def add(self, write: LayerWriter) -> ImageLayer:
        """Store a layer. Blocks; call it in a thread.

        Args:
            write: Writes the layer to the file that it is given, and returns what it wrote.

        Raises:
            OSError: The layer cannot be written. Nothing is left then.
        """
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as output:
                layer = write(output)
            Path(name).rename(self._path(layer.digest))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return layer

    def has(self, layer: ImageLayer) -> bool:
        """Return whether the layer is stored in full."""
        try:
            return self._path(layer.digest).stat().st_size == layer.size
        except OSError:
            return False

    def open(self, digest: str) -> BinaryIO:
        """Open a layer for reading. It stays readable after ``remove``.

        Args:
            digest: 64 hexadecimal digits.

        Raises:
            FileNotFoundError: There is none.
        """
        return self._path(digest).open("rb")

    def remove(self, digest: str) -> None:
        """Delete a layer if it exists."""
        self._path(digest).unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """Return the sizes of all stored layers by their digests."""
        entries = os.scandir(self._directory)
        return {entry.name: entry.stat().st_size for entry in entries if _DIGEST.fullmatch(entry.name)}

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise FileNotFoundError(digest)
        return self._directory / digest
