"""Isolation levels as test parameters; ``make test`` runs only the strongest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def user_parameters(user: int) -> list[ParameterSet]:
    """Return parameters ``(user, level)``: root and ``user`` at their best levels, and root without isolation.

    All but the first are marked as long.

    Args:
        user: Another one for each module: limits of processes count those of a user, and modules run in parallel.
    """
    return [
        pytest.param((0, "auto"), id="root"),
        pytest.param((user, "auto"), id="user", marks=pytest.mark.long),
        pytest.param((0, "none"), id="none", marks=pytest.mark.long),
    ]


def level_parameters(levels: Sequence[tuple[int, str]]) -> list[ParameterSet]:
    """Return one parameter ``(user, level)`` for each level, all but the first of them marked as long.

    Args:
        levels: Users and isolation levels, the strongest first.
    """
    return [
        pytest.param(one, id=f"{one[0] or 'root'}-{one[1]}", marks=[pytest.mark.long] if number else [])
        for number, one in enumerate(levels)
    ]
