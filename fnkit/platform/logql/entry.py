"""A log line in a query pipeline: the text, and the labels that stages read, add and remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ERROR_LABEL: Final = "__error__"
ERROR_DETAILS_LABEL: Final = "__error_details__"
_EMPTY_LABELS: Final[dict[str, str]] = {}
_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class LogEntry:
    """A log line. Stages modify it in place.

    The mappings of the constructor are shared between lines and never modified.

    Attributes:
        time: Unix nanoseconds.
        line: The text.
        stream: The labels of the stream.
        metadata: The labels of this line alone (structured metadata).
        parsed: Labels that stages extracted or assigned; they take precedence over the others.
        removed: Names of stream labels and metadata that stages removed.
        error: The error of a stage, as in the label ``__error__``, or an empty string.
        error_details: The error message, as in ``__error_details__``.
    """

    __slots__ = ("error", "error_details", "line", "metadata", "parsed", "removed", "stream", "time")

    def __init__(self, time: int, line: str, stream: Mapping[str, str], metadata: Mapping[str, str]) -> None:
        self.time = time
        self.line = line
        self.stream = stream
        self.metadata = metadata
        self.parsed = _EMPTY_LABELS  # shared until the first assignment: most lines need no dict of their own
        self.removed: frozenset[str] = frozenset()
        self.error = ""
        self.error_details = ""

    def get(self, name: str) -> str | None:
        """Return the value of a label, or ``None``."""
        if (value := self.parsed.get(name)) is not None:
            return value
        if name == ERROR_LABEL:
            return self.error
        if name in self.removed:
            return None
        value = self.metadata.get(name)
        return self.stream.get(name) if value is None else value

    def get_or_empty(self, name: str) -> str:
        """Return the value of a label, or an empty string."""
        return self.get(name) or ""

    def add_extracted(self, name: str, value: str) -> None:
        """Add a label that a parser extracted from the line.

        As in Loki, a label of the stream or the metadata keeps its name and the new one gets the suffix
        ``_extracted``; of several fields with the same name, the first wins.
        """
        if name in self.stream or name in self.metadata:
            name += "_extracted"
        if name not in self.parsed:
            self.set_label(name, value)

    def set_label(self, name: str, value: str) -> None:
        """Set a label, overwriting any other value."""
        if self.parsed is _EMPTY_LABELS:
            self.parsed = {}
        self.parsed[name] = value

    def remove_label(self, name: str) -> None:
        """Remove a label, or the error if the name is ``__error__`` or ``__error_details__``."""
        if name == ERROR_LABEL:
            self.error = ""
        elif name == ERROR_DETAILS_LABEL:
            self.error_details = ""
        else:
            if self.parsed is not _EMPTY_LABELS:
                self.parsed.pop(name, None)
            self.removed |= {name}

    def set_error(self, error: str, details: str) -> None:
        """Record an error; the line stays in the result unless a label filter removes it."""
        self.error, self.error_details = error, details

    def stream_labels(self) -> dict[str, str]:
        """Return the labels of the stream that stages neither removed nor overwrote."""
        return self._visible(self.stream)

    def metadata_labels(self) -> dict[str, str]:
        """Return the metadata that stages neither removed nor overwrote."""
        return self._visible(self.metadata)

    def _visible(self, labels: Mapping[str, str]) -> dict[str, str]:
        if not self.removed and not self.parsed:
            return dict(labels)
        return {n: v for n, v in labels.items() if n not in self.removed and n not in self.parsed}

    def parsed_labels(self) -> dict[str, str]:
        """Return the labels that stages added, including the error."""
        labels = dict(self.parsed)
        if self.error:
            labels[ERROR_LABEL] = self.error
        if self.error_details:
            labels[ERROR_DETAILS_LABEL] = self.error_details
        return labels

    def labels(self) -> dict[str, str]:
        """Return all labels of the line."""
        return self.stream_labels() | self.metadata_labels() | self.parsed_labels()


def format_labels(labels: Mapping[str, str]) -> str:
    """Return labels in the syntax of a selector, sorted by name.

    >>> format_labels({"b": "2", "a": "1"})
    '{a="1", b="2"}'
    """
    return "{" + ", ".join(f'{name}="{labels[name].translate(_ESCAPES)}"' for name in sorted(labels)) + "}"


def to_label_name(text: str) -> str:
    """Convert a field name to a valid label name; return an empty string for a blank name.

    >>> to_label_name("user-agent"), to_label_name("2nd"), to_label_name(" ")
    ('user_agent', '_2nd', '')
    """
    name = text.strip()
    if name.isascii() and name.isidentifier():
        return name
    if name[:1].isascii() and name[:1].isdecimal():
        name = "_" + name
    return "".join(c if c == "_" or (c.isascii() and c.isalnum()) else "_" for c in name)
