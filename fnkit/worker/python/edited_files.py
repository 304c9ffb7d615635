"""Writes edited files over the code that an instance sees: its zygote shows the files as they were built.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import importlib.util
import os
import typing


def write_edited_files(files: typing.Iterable[typing.Sequence[typing.Any]], root: str) -> None:
    """Write or remove files.

    Args:
        files: Pairs of a path below the code and the content in Base64, ``None`` if the file does not exist.
        root: The directory of the code.
    """
    is_changed = False
    for path, content in files:
        is_changed = True
        target = os.path.join(root, path)
        for old in (target, importlib.util.cache_from_source(target) if path.endswith(".py") else target):
            # What was compiled from the file as it was built is not compared with the new one.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(old)
        if content is not None:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(base64.b64decode(content))
    if is_changed:
        importlib.invalidate_caches()  # the zygote may have listed these directories
