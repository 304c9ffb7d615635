"""Operations of the API document that this platform does not serve yet. The list may only become shorter."""

from __future__ import annotations

__all__ = ["NOT_SERVED"]

NOT_SERVED: frozenset[str] = frozenset()
"""Each answers 501; ``tests/conformance/test_document.py`` fails for one that does not any more."""
