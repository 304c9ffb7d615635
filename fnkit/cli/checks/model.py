"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: Whether it is as it should be.
        detail: What was found.
        hint: What to do if it is not ok.
        is_needed: Whether this project cannot be run or deployed while it is not ok. Otherwise it is a warning.
    """

    name: str
    ok: bool
    detail: str
    hint: str | None = None
    is_needed: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether the project lacks something that it needs."""
        return self.is_needed and not self.ok
