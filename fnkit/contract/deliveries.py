"""Types of the delivery log API, under ``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``.

Only fnkit's platform has a delivery log. Scaleway's API answers these paths with 404.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

DELIVERY_STATUSES: Final = ("pending", "succeeded", "failed", "dead", "unknown")
LISTED_BODY_MAX_BYTES: Final = 4096
"""Maximum number of body bytes in a list. A single delivery, requested by ID, includes the whole stored body."""

REPLAYS_MAX: Final = 1000
"""Maximum number of deliveries that one request can replay."""


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver.

    Attributes:
        http_status: Status of the response, or ``None`` if there was none.
        duration_ms: Elapsed wall-clock time, independent of the platform's clock speed.
    """

    http_status: int | None
    duration_ms: float
    error: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of a cron or trigger.

    Attributes:
        status: ``pending`` (in progress or between attempts), ``succeeded``, ``failed``, ``dead`` (given up, and
            removed from the broker), or ``unknown`` (the broker no longer delivers the message, and the outcome
            was not recorded).
        cause: ``tick`` (a scheduled run), ``message``, ``fire`` (a manual run) or ``replay``.
        body: Text, or base64 if ``is_base64``.
        is_truncated: Whether ``body`` is only the beginning of the body.
        lag_ms: Wall-clock milliseconds from the scheduled time to the dispatch of a scheduled run.
        tries: The ten most recent attempts.
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
    """One page of deliveries, newest first.

    Attributes:
        total: Number of stored deliveries that match.
        next: Value of ``before`` that requests the next page, or ``None`` on the last one.
    """

    deliveries: list[DeliveryView]
    total: int
    next: str | None


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which deliveries to replay: either ``ids`` or ``status``.

    A status (``failed``, ``dead``, or ``any`` for both) selects the deliveries that were not replayed yet.
    """

    ids: list[str] | None = None
    status: str | None = None


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The ID of a delivery, and the new delivery that repeats it."""

    id: str
    delivery: DeliveryView


class SkippedReplay(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that could not be replayed, and the reason."""

    id: str
    reason: str


class ReplayResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The replays that were started, without their outcomes, and the deliveries that were skipped."""

    replayed: list[Replay]
    skipped: list[SkippedReplay]


class SendMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to send to where a trigger receives from.

    Attributes:
        body: Text, or base64 if ``is_base64``.
        subject: The NATS subject; required if that of the trigger has wildcards, and covered by it.
    """

    body: str = ""
    is_base64: bool = False
    subject: str | None = None


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a broker took.

    Attributes:
        kind: ``nats`` or ``sqs``.
        address: The subject or the name of the queue.
        stream: The JetStream stream that stored it; empty for none.
        message_id: The broker's identifier; empty if it has none.
    """

    kind: str
    address: str
    stream: str = ""
    message_id: str = ""


def encode_body(body: bytes) -> tuple[str, bool]:
    r"""Return a body as a string, and whether that string is base64 because the body is not UTF-8.

    >>> encode_body(b"caf\xc3\xa9"), encode_body(b"\xff")
    (('café', False), ('/w==', True))
    """
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode("ascii"), True
