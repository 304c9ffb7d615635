"""The representation of a delivery in the API."""

from __future__ import annotations

from fnkit.contract.deliveries import DeliveryAttempt, DeliveryView, encode_body
from fnkit.platform.records.delivery import Delivery

__all__ = ["delivery_view"]

_MAX_CHARACTER_BYTES = 4  # bytes, in UTF-8


def delivery_view(delivery: Delivery, body: bytes) -> DeliveryView:
    """Return a delivery with its body.

    Args:
        delivery: The delivery.
        body: Its body, or the beginning of it; then ``is_truncated`` is set.
    """
    is_truncated = len(body) < delivery.body_size
    text, is_base64 = encode_body(_without_partial_character(body) if is_truncated else body)
    return DeliveryView(
        id=delivery.id,
        kind=delivery.kind,
        name=delivery.name,
        function=delivery.function,
        at=delivery.at,
        attempts=delivery.attempts,
        status=delivery.status,
        http_status=delivery.http_status,
        duration_ms=delivery.duration_ms,
        error=delivery.error,
        cause=delivery.cause,
        message_id=delivery.message_id,
        body=text,
        is_base64=is_base64,
        is_truncated=is_truncated,
        body_size=delivery.body_size,
        replay_of=delivery.replay_of,
        replayed_by=delivery.replayed_by,
        lag_ms=delivery.lag_ms,
        tries=tuple(
            DeliveryAttempt(http_status=one.http_status, duration_ms=one.duration_ms, error=one.error)
            for one in delivery.recent_attempts
        ),
    )


def _without_partial_character(body: bytes) -> bytes:
    """Remove an incomplete UTF-8 character from the end of a truncated body. Leave other bytes unchanged."""
    for spare in range(_MAX_CHARACTER_BYTES):
        beginning = body[: len(body) - spare]
        try:
            beginning.decode()
        except UnicodeDecodeError:
            continue
        return beginning
    return body
