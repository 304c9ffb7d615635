"""What bundling tells while it works, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["BundleProgress", "Report", "silent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleProgress:
    """One step. ``done`` of ``total`` is counted in files for ``fetch``, 0 of 0 where a stage has no measure.

    stage: ``lock`` resolves, ``fetch`` gets wheels, ``build`` makes one from source, ``layer`` packs
    dependencies, ``archive`` writes the zip. A stage that has nothing to do is not reported.
    """

    stage: Literal["lock", "fetch", "build", "layer", "archive"]
    runtime: str
    detail: str = ""
    done: int = 0
    total: int = 0


Report = Callable[[BundleProgress], None]


def silent(_progress: BundleProgress) -> None:
    """Report to nobody."""
