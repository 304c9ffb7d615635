"""Progress events of bundling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["BundleProgress", "ProgressCallback", "ignore_progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleProgress:
    """One step of bundling. Stages without work are not reported.

    Attributes:
        stage: ``lock`` resolves requirements, ``fetch`` downloads wheels, ``build`` builds one from source,
            ``layer`` packs dependencies, ``archive`` writes the zip file.
        runtime: Runtime that the step belongs to.
        detail: Name of the package, backend or file.
        done: Files completed, for ``fetch``.
        total: Files in all, for ``fetch`` and ``layer``; 0 for other stages.
    """

    stage: Literal["lock", "fetch", "build", "layer", "archive"]
    runtime: str
    detail: str = ""
    done: int = 0
    total: int = 0


ProgressCallback = Callable[[BundleProgress], None]


def ignore_progress(_progress: BundleProgress) -> None:
    """Discard a progress event."""
