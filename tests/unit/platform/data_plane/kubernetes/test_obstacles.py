"""Whether the end of other instances could make room for a Pod."""

from __future__ import annotations

import pytest

from fnkit.platform.data_plane.kubernetes.obstacles import fits_a_node, fits_quota

QUOTA = 'pods "f-1" is forbidden: exceeded quota: limit, requested: {}, used: {}, limited: {}'
NODES = "0/3 nodes are available: {} preemption: 0/3 nodes are available: {}"
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


@pytest.mark.parametrize(
    ("requested", "limited", "fits"),
    [
        ("pods=1", "pods=2", True),
        ("pods=1", "pods=0", False),
        ("requests.memory=304Mi", "requests.memory=400Mi", True),
        ("requests.memory=1Gi", "requests.memory=1023Mi", False),
        ("cpu=100m,memory=304Mi", "cpu=50m,memory=1Gi", False),
        ("cpu=100m,memory=304Mi", "cpu=1,memory=1Gi", True),
        ("memory=much", "memory=1Gi", True),
    ],
)
def test_quota_that_allows_too_little_never_fits(requested: str, limited: str, *, fits: bool) -> None:
    assert fits_quota(QUOTA.format(requested, "pods=1", limited)) is fits


def test_message_without_quantities_may_fit() -> None:
    assert fits_quota("exceeded quota: limit")


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        (NODES.format("3 Insufficient memory.", f"3 {NO_VICTIMS}."), True),
        (NODES.format("3 Insufficient memory.", f"3 {NOT_HELPFUL}."), False),
        (NODES.format("1 node(s) were unschedulable, 2 …", f"2 {NO_VICTIMS}, 1 {NOT_HELPFUL}."), True),
        ("0/3 nodes are available: 3 Insufficient memory.", True),
        ("no nodes available to schedule pods", True),
    ],
)
def test_node_that_is_too_small_never_fits(message: str, *, fits: bool) -> None:
    assert fits_a_node(message) is fits
