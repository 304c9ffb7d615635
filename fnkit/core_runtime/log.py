"""The log of the core runtime: its own lines, and how bytes are written to it."""

from __future__ import annotations

import os
import select
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2


def report(message: str, *, has_gateway: bool) -> None:
    """Write a message of the core runtime itself.

    Args:
        message: The message.
        has_gateway: Whether a platform's gateway is the client. Its platform reads all lines from standard output,
            each with its stream and request.
    """
    if has_gateway:
        write_line(STDOUT, f"system - fnkit: {message}")
    else:
        write_line(STDERR, f"fnkit: {message}")


def write_line(descriptor: int, text: str) -> None:
    """Write a line, with control characters as escapes, so that a client cannot forge lines."""
    write_bytes(descriptor, f"{escape_control(text)}\n".encode("utf-8", "backslashreplace"))


def write_bytes(descriptor: int, data: bytes) -> None:
    """Write everything, and wait as long as the reader of the log needs."""
    unwritten = memoryview(data)
    try:
        while unwritten:
            try:
                unwritten = unwritten[os.write(descriptor, unwritten) :]
            except BlockingIOError:  # another process made the descriptor non-blocking
                select.select([], [descriptor], [])
    except OSError:
        return  # the reader of the log is gone


def escape_control(text: str) -> str:
    r"""Return the text with escapes for its control characters.

    >>> escape_control("a\n")
    'a\\n'
    """
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
