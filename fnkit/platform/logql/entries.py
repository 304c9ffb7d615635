"""A log line on its way through a query, with the labels it has and gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ERROR", "ERROR_DETAILS", "Entry", "label_name"]

ERROR: Final = "__error__"
ERROR_DETAILS: Final = "__error_details__"
_NOTHING: Final[dict[str, str]] = {}


class Entry:
    """One line.

    time: Unix nanoseconds. stream: the labels of its stream. metadata: what is known of this line alone.
    parsed: what the query took out of it, or made; it goes before the others. error: what went wrong.
    """

    __slots__ = ("details", "error", "line", "metadata", "parsed", "removed", "stream", "time")

    def __init__(self, time: int, line: str, stream: Mapping[str, str], metadata: Mapping[str, str]) -> None:
        self.time = time
        self.line = line
        self.stream = stream
        self.metadata = metadata
        self.parsed = _NOTHING
        self.removed: frozenset[str] = frozenset()
        self.error = ""
        self.details = ""

    def get(self, name: str) -> str | None:
        """Return a label's value."""
        if (value := self.parsed.get(name)) is not None:
            return value
        if name == ERROR:
            return self.error
        if name in self.removed:
            return None
        value = self.metadata.get(name)
        return self.stream.get(name) if value is None else value

    def text(self, name: str) -> str:
        """Return a label's value, empty where there is no such label."""
        return self.get(name) or ""

    def extract(self, name: str, value: str) -> None:
        """Take a field out of the line. A stream's own label keeps its name, and the first of two fields counts."""
        if name in self.stream or name in self.metadata:
            name += "_extracted"
        if name not in self.parsed:
            self.set(name, value)

    def set(self, name: str, value: str) -> None:
        """Give a label a value, whatever it had."""
        if self.parsed is _NOTHING:
            self.parsed = {}
        self.parsed[name] = value

    def remove(self, name: str) -> None:
        """Take a label away, or what went wrong."""
        if name == ERROR:
            self.error = ""
        elif name == ERROR_DETAILS:
            self.details = ""
        else:
            if self.parsed is not _NOTHING:
                self.parsed.pop(name, None)
            self.removed |= {name}

    def fail(self, error: str, details: str) -> None:
        """Note what went wrong; the line stays."""
        self.error, self.details = error, details

    def stream_labels(self) -> dict[str, str]:
        """Return what is left of the stream's own labels."""
        hidden = self.removed or self.parsed
        return (
            {n: v for n, v in self.stream.items() if n not in hidden and n not in self.parsed}
            if hidden
            else dict(self.stream)
        )

    def metadata_labels(self) -> dict[str, str]:
        """Return what is left of the line's metadata."""
        return {n: v for n, v in self.metadata.items() if n not in self.removed and n not in self.parsed}

    def parsed_labels(self) -> dict[str, str]:
        """Return what the query made, errors with it."""
        made = dict(self.parsed)
        if self.error:
            made[ERROR] = self.error
        if self.details:
            made[ERROR_DETAILS] = self.details
        return made

    def labels(self) -> dict[str, str]:
        """Return all of them."""
        return self.stream_labels() | self.metadata_labels() | self.parsed_labels()


def label_name(text: str) -> str:
    """Return a label's name made of a field's; empty where nothing is left of it.

    >>> label_name("user-agent"), label_name("2nd"), label_name(" ")
    ('user_agent', '_2nd', '')
    """
    name = text.strip()
    if name.isascii() and name.isidentifier():
        return name
    if name[:1].isascii() and name[:1].isdecimal():
        name = "_" + name
    return "".join(c if c == "_" or (c.isascii() and c.isalnum()) else "_" for c in name)
