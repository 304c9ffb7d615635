"""Option types for finite numbers.

``click.FloatRange`` accepts ``nan``, and ``inf`` where the range has no upper bound.
"""

from __future__ import annotations

import math

import click

__all__ = ["FiniteRange"]


class FiniteRange(click.FloatRange):
    """A range of finite floating-point numbers: rejects ``nan`` and ``inf``."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert an option's value to a finite number, or fail with a usage error."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
