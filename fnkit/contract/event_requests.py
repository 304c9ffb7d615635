"""The requests that crons and triggers send to functions."""

from __future__ import annotations

from typing import Final

USER_AGENT: Final = "ScalewayServerlessOrchestrator/1.0"
"""The User-Agent of trigger and cron requests, as recorded from Scaleway."""

CRON_CONTENT_TYPE: Final = "application/json"
MESSAGE_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
