"""What our platform says of deliveries, under ``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``.

Scaleway's API has nothing like it: a 404 on these paths means that nobody keeps a log there.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

__all__ = [
    "DELIVERY_STATUSES",
    "LISTED_BODY_MAX",
    "REPLAYS_MAX",
    "DeliveryAttempt",
    "DeliveryPage",
    "DeliveryView",
    "Replay",
    "ReplayAnswer",
    "ReplayRequest",
    "Unreplayed",
    "body_bytes",
    "shown_body",
]

DELIVERY_STATUSES: Final = ("pending", "succeeded", "failed", "dead", "unknown")
LISTED_BODY_MAX: Final = 4096
"""Bytes of a body that a list shows; one delivery, asked for by its id, shows all that is kept."""

REPLAYS_MAX: Final = 1000
"""Deliveries that one request may repeat."""


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. http_status: ``None`` where no answer came; duration_ms: real time."""

    http_status: int | None
    duration_ms: float
    error: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One firing of a cron or trigger.

    status: ``pending`` (under way, or between two attempts), ``succeeded``, ``failed``, ``dead`` (given up, and
    the broker has forgotten the message), or ``unknown`` (the broker does not hand it out any more, and why
    was not written down). cause: ``tick``, ``message``, ``fire`` or ``replay``. body: text, or
    base64 where ``is_base64``; ``is_truncated``: only its beginning is shown. lag_ms: real
    milliseconds from a tick's moment to its hand-over. tries: the newest ten attempts.
    """

    id: str
    kind: str
    name: str
    function: str
    at: str
    attempts: int
    status: str
    http_status: int | None
    duration_ms: float | None
    error: str
    cause: str
    message_id: str | None
    body: str
    is_base64: bool
    is_truncated: bool
    body_size: int
    replay_of: str | None
    replayed_by: str | None
    lag_ms: float | None
    tries: tuple[DeliveryAttempt, ...]


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. total: how many match and are kept; next: what to give as ``before`` for the next page."""

    deliveries: list[DeliveryView]
    total: int
    next: str | None


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either ids, or a status: ``failed``, ``dead`` or ``any`` of the two, those that were not repeated yet."""

    ids: list[str] | None = None
    status: str | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery and the new one that repeats it."""

    id: str
    delivery: DeliveryView


class Unreplayed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that could not be repeated, and why."""

    id: str
    reason: str


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun. Which of them succeed is seen when they end."""

    replayed: list[Replay]
    skipped: list[Unreplayed]


def shown_body(body: bytes) -> tuple[str, bool]:
    r"""Return a body as JSON can hold it, and whether that is base64.

    >>> shown_body(b"caf\xc3\xa9"), shown_body(b"\xff")
    (('café', False), ('/w==', True))
    """
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), True


def body_bytes(view: DeliveryView) -> bytes:
    """Return what is shown of a body as the bytes that it was."""
    return base64.b64decode(view.body) if view.is_base64 else view.body.encode()
