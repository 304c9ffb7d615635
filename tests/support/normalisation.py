"""Replaces the parts of output that differ between runs: ids, times, ports, pids, durations and paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["normalise"]

_RULES = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\bSCW[A-Z0-9]{17}\b"), "<access key>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "<port>"),
    (re.compile(r"(?<=localhost:)\d+"), "<port>"),
    (re.compile(r"\bpid \d+"), "pid <pid>"),
    (re.compile(r'("(?:pid|control|data_plane)": )\d+'), r"\g<1><pid>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), r"<n> \g<2>"),
    (re.compile(r'("duration_ms": )[\d.]+'), r"\g<1><n>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<digest>"),
)


def normalise(text: str, literals: Mapping[str, str] | None = None) -> str:
    """Return the text with placeholders for volatile parts; ``literals`` maps further texts to placeholders."""
    for literal in sorted(literals or {}, key=len, reverse=True):
        text = text.replace(literal, f"<{(literals or {})[literal]}>")
    for pattern, name in _RULES:
        text = pattern.sub(name, text)
    return text
