"""Nodes that stopped answering."""

from __future__ import annotations

from fnkit.platform.data_plane.kubernetes.lost_nodes import LostNodes


def test_nodes_are_known_until_they_are_forgotten() -> None:
    nodes = LostNodes()
    for name in ("b", "a", "b"):
        nodes.add(name)
    assert nodes.names == ("a", "b")
    nodes.clear()
    assert not nodes.names
