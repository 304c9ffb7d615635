"""Operations of the API document that this platform does not serve yet. The list may only become shorter."""

from __future__ import annotations

__all__ = ["NOT_SERVED"]

NOT_SERVED = frozenset(
    f"{verb}{kind}"
    for kind, verbs in {
        "Token": ("Create", "Get", "Delete"),
        "Tokens": ("List",),
    }.items()
    for verb in verbs
)
"""Each answers 501; ``tests/conformance/test_document.py`` fails for one that does not any more."""
