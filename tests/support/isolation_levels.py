"""Isolation levels as test parameters; ``make test`` runs only the strongest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def level_parameters(levels: Sequence[tuple[int, str]]) -> list[ParameterSet]:
    """Return one parameter ``(user, level)`` for each level, all but the first of them marked as long.

    Args:
        levels: Users and isolation levels, the strongest first.
    """
    return [
        pytest.param(one, id=f"{one[0] or 'root'}-{one[1]}", marks=[pytest.mark.long] if number else [])
        for number, one in enumerate(levels)
    ]
