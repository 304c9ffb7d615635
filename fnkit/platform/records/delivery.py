"""One firing of a cron or trigger, as the delivery log keeps it; its body is kept beside it."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["FAILED", "TRIES_KEPT", "Delivery", "DeliveryStatus", "Try"]

TRIES_KEPT: Final = 10
"""The newest attempts whose outcome is kept apiece; ``attempts`` counts all of them."""

_ERROR_MAX: Final = 500


class DeliveryStatus:
    """What may become of a delivery.

    PENDING: under way, or waiting for its next attempt. FAILED: given up. DEAD: given up, and its broker does not
    have the message any more, so this log holds the only copy. UNKNOWN: its broker does not hand the message out
    any more, and what became of it was not written down; one that comes after all is PENDING again.
    """

    PENDING: Final = "pending"
    SUCCEEDED: Final = "succeeded"
    FAILED: Final = "failed"
    DEAD: Final = "dead"
    UNKNOWN: Final = "unknown"


FAILED: Final = (DeliveryStatus.FAILED, DeliveryStatus.DEAD)
"""What needs somebody: both kinds of failure."""


class Try(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt: what the function answered (``None``: nothing), real milliseconds, and why it failed."""

    http_status: int | None = None
    duration_ms: float = 0.0
    error: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One firing. Immutable: ``tried`` and ``ended`` return the next state.

    kind: ``cron``, ``nats`` or ``sqs``. name: the cron's or trigger's. function: its name. at: RFC 3339 platform
    time of the tick, or of the first attempt of a message. cause: ``tick``, ``message``, ``fire`` (by hand) or
    ``replay``. http_status, duration_ms, error: of the last attempt. message_id: what the broker calls it.
    body_size: bytes of the whole body. replay_of: the delivery that this one repeats; replayed_by: the newest one
    that repeats this. lag_ms: real milliseconds from a tick's moment to its hand-over; ``None``: it is no tick.
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
    tries: tuple[Try, ...] = ()

    def tried(self, *, http_status: int | None, duration_ms: float, error: str = "") -> Delivery:
        """One attempt more; whether it was the last one, ``ended`` says."""
        made = Try(http_status=http_status, duration_ms=duration_ms, error=error[:_ERROR_MAX])
        return msgspec.structs.replace(
            self,
            attempts=self.attempts + 1,
            http_status=http_status,
            duration_ms=duration_ms,
            error=made.error,
            tries=(*self.tries, made)[-TRIES_KEPT:],
        )

    def ended(self, status: str, error: str | None = None) -> Delivery:
        """The end; ``error``, where given, takes the place of the last attempt's."""
        return msgspec.structs.replace(
            self, status=status, error=self.error if error is None else error[:_ERROR_MAX]
        )
