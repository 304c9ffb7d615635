"""A delivery: one call that a cron or a trigger makes, as the delivery log stores it.

The body is not part of the record; the store keeps it in a column of its own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.contract.text import escape_control_characters

ATTEMPTS_KEPT: Final = 10
"""Number of most recent attempts stored with a delivery; ``Delivery.attempts`` counts all of them."""

_MAX_ERROR_LENGTH: Final = 500


class DeliveryStatus:
    """The statuses of a delivery.

    Attributes:
        PENDING: In progress, or waiting for the next attempt.
        SUCCEEDED: The function answered with a status below 300.
        FAILED: All attempts failed.
        DEAD: All attempts failed and the broker no longer has the message; the delivery log holds the only copy.
        UNKNOWN: Control stopped before the outcome of the message was recorded. If the broker delivers the message
            again, the delivery returns to ``PENDING``.
    """

    PENDING: Final = "pending"
    SUCCEEDED: Final = "succeeded"
    FAILED: Final = "failed"
    DEAD: Final = "dead"
    UNKNOWN: Final = "unknown"


FAILED_STATUSES: Final = (DeliveryStatus.FAILED, DeliveryStatus.DEAD)
"""The statuses that need attention."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of a delivery.

    Attributes:
        http_status: Status of the response, or ``None`` without a response.
        duration_ms: Duration in milliseconds of real time.
        error: Why the attempt failed, empty on success.
    """

    http_status: int | None = None
    duration_ms: float = 0.0
    error: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. Immutable: ``with_attempt`` and ``finished`` return the next state.

    Attributes:
        id: UUID.
        kind: ``cron``, ``nats`` or ``sqs``.
        name: Name of the cron or trigger.
        function: Name of the function.
        at: RFC 3339 platform time of the scheduled run, or of the first attempt of a message.
        attempts: Number of attempts so far.
        status: One of ``DeliveryStatus``.
        http_status: Status of the last response, or ``None`` without one.
        duration_ms: Duration of the last attempt in milliseconds of real time.
        error: Why the last attempt failed, empty on success.
        cause: ``tick`` (a scheduled run), ``message``, ``fire`` (started manually) or ``replay``.
        message_id: The broker's identifier of the message.
        body_size: Size of the complete body in bytes, also when the stored body was truncated.
        replay_of: The delivery that this one replays.
        replayed_by: The most recent replay of this delivery.
        lag_ms: Milliseconds of real time between the scheduled time and the dispatch of a scheduled run, ``None``
            for every other cause.
        recent_attempts: The last ``ATTEMPTS_KEPT`` attempts, oldest first.
    """

    id: str
    kind: str
    name: str
    function: str
    at: str
    attempts: int = 0
    status: str = DeliveryStatus.PENDING
    http_status: int | None = None
    duration_ms: float | None = None
    error: str = ""
    cause: str = "tick"
    message_id: str | None = None
    body_size: int = 0
    replay_of: str | None = None
    replayed_by: str | None = None
    lag_ms: float | None = None
    recent_attempts: tuple[Attempt, ...] = ()

    def with_attempt(self, *, http_status: int | None, duration_ms: float, error: str = "") -> Delivery:
        """Return the delivery with one more attempt. The status is left alone; ``finished`` sets it."""
        attempt = Attempt(http_status=http_status, duration_ms=duration_ms, error=_format_error(error))
        return msgspec.structs.replace(
            self,
            attempts=self.attempts + 1,
            http_status=http_status,
            duration_ms=duration_ms,
            error=attempt.error,
            recent_attempts=(*self.recent_attempts, attempt)[-ATTEMPTS_KEPT:],
        )

    def finished(self, status: str, error: str | None = None) -> Delivery:
        """Return the delivery with ``status``, and with ``error`` in place of the last attempt's if given."""
        return msgspec.structs.replace(
            self, status=status, error=self.error if error is None else _format_error(error)
        )


def _format_error(text: str) -> str:
    return escape_control_characters(text)[:_MAX_ERROR_LENGTH] if text else ""
