"""Scale-down: to one instance after 30 idle seconds, to zero after 15 idle minutes, never below ``min_scale``."""

from __future__ import annotations

import pytest

from fnkit.platform.data_plane.engine.scale_down import ScaleDown


@pytest.mark.parametrize(
    ("idle_for", "total", "min_scale", "expected"),
    [
        ([29.9, 29.9], 2, 0, 0),
        ([30, 29], 2, 0, 1),
        ([40, 40, 40], 3, 0, 2),
        ([899], 1, 0, 0),
        ([900], 1, 0, 1),
        ([900, 900], 2, 0, 2),
        ([9000, 9000], 2, 1, 1),
        ([9000, 9000], 2, 2, 0),
        ([40], 2, 0, 1),
        ([], 3, 0, 0),
    ],
)
def test_surplus_is_the_number_of_idle_instances_to_stop(
    idle_for: list[float], total: int, min_scale: int, expected: int
) -> None:
    since = [1000.0 - seconds for seconds in idle_for]
    assert ScaleDown().surplus(since, total=total, min_scale=min_scale, now=1000.0) == expected
