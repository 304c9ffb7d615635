"""A cron schedule whose next run is months away, on any day of the year."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["DISTANT_MONTH", "DISTANT_SCHEDULE"]

DISTANT_MONTH: Final = (datetime.now(UTC).month + 5) % 12 + 1
"""The month six months from now."""

DISTANT_SCHEDULE: Final = f"0 0 1 {DISTANT_MONTH} *"
"""A schedule beyond the largest advance of the clock in any test."""
