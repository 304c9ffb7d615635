"""Held reads: a read of a resource in a transient status waits up to a second for a final one.

Clients poll. Scaleway's Go SDK, on which ``scw`` and the Terraform provider are built, reads a resource right after
it changed it, and sleeps 5 to 15 s if the status is not final. Here, most are final after milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from fnkit.contract.enums import Status

TRANSIENT_STATUSES: Final = frozenset({Status.CREATING, Status.PENDING, Status.DELETING})
"""The statuses in which Scaleway's SDKs go on polling: ``CRON_TRANSIENT_STATUSES`` and so on of the Python SDK."""


class HeldReads:
    """The reads that wait for a change of a resource. Each costs a timer and an event, and no thread."""

    max_seconds: ClassVar[float] = 1.0
    """The longest time that a read is held, in seconds of real time."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._is_released = False

    def __len__(self) -> int:
        """Return the number of resources with held reads."""
        return len(self._waiting)

    async def hold(self, record_id: str, is_transient: Callable[[], bool]) -> None:
        """Return when the resource is no longer in a transient status, and after ``max_seconds`` at the latest.

        Args:
            record_id: The resource.
            is_transient: Returns whether its status is transient. Called again after each of its changes.
        """
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(record_id, set())
        waiting.add(changed)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.max_seconds):
                    while is_transient() and not self._is_released:
                        await changed.wait()
                        changed.clear()
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(record_id, None)

    def on_change(self, record_id: str) -> None:
        """Wake the reads of a resource. They continue after the current transaction, which does not await."""
        for changed in self._waiting.get(record_id, ()):
            changed.set()

    def release(self) -> None:
        """Answer all held reads now, and hold none from now on."""
        self._is_released = True
        for record_id in self._waiting:
            self.on_change(record_id)
