"""Nodes that stopped answering a moment ago. New Pods avoid them until the cluster has noticed it itself.

A cluster considers a node ready for some 40 seconds after it was lost, and its scheduler even prefers it, because
nothing runs there any more.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

_SECONDS: Final = 60.0


class LostNodes:
    """The names of nodes, each for a minute."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, node: str) -> None:
        """Note that a node does not answer."""
        self._until[node] = monotonic() + _SECONDS

    def clear(self) -> None:
        """Forget all, because no other node has room."""
        self._until.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        now = monotonic()
        return tuple(sorted(node for node, until in self._until.items() if until > now))
