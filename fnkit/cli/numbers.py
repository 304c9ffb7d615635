"""Numbers on the command line: click lets ``nan`` through its ranges, and ``inf`` where they are open."""

from __future__ import annotations

import math

import click

__all__ = ["FiniteRange"]


class FiniteRange(click.FloatRange):
    """A range of floating-point numbers without ``nan`` and ``inf``."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See ``click.ParamType``."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number
