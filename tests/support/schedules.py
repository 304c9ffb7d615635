"""Schedules for tests that run on any day of the year."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["FAR_OFF", "FAR_OFF_MONTH"]

FAR_OFF_MONTH: Final = (datetime.now(UTC).month + 5) % 12 + 1
"""Half a year from now."""

FAR_OFF: Final = f"0 0 1 {FAR_OFF_MONTH} *"
"""No test moves the clock that far."""
