"""The outcomes of stream messages that no process holds any more, as the acknowledgements of the consumer tell.

Only this platform acknowledges, and only messages that were handled or that the log stores as dead. So a message
below the acknowledgement floor was handled, unless the stream deleted it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fnkit.platform.records.delivery import DeliveryStatus
from fnkit.platform.schedulers.jetstream import ConsumerProgress, get_progress
from fnkit.platform.schedulers.listening import BrokerOutcome

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NOT_STORED", "is_stream_message_id", "lookup_stream_outcomes"]

NOT_STORED: Final = BrokerOutcome(
    DeliveryStatus.FAILED,
    "the platform stopped before the function responded, and no stream has the message; the function may have run",
)
"""Outcome of a message that no stream stores, and that was in flight in a process that ended."""

_ACKNOWLEDGED: Final = BrokerOutcome(
    DeliveryStatus.SUCCEEDED,
    "acknowledged after a successful response, which was not recorded before the platform stopped",
)
_DELETED_BY_STREAM: Final = BrokerOutcome(
    DeliveryStatus.UNKNOWN,
    "the stream deleted the message before it was acknowledged; the function may have run",
)


def is_stream_message_id(message_id: str) -> bool:
    """Return whether the id is that of a ``StreamMessage``."""
    return ":" in message_id


async def lookup_stream_outcomes(
    client: Client, consumer: str, ids: Iterable[str], current_stream: str
) -> dict[str, BrokerOutcome]:
    """Return the known outcomes of messages of streams. Messages that may still be delivered are missing.

    Args:
        client: The session.
        consumer: Name of the consumer, which is the same in each stream.
        ids: The ids of the messages.
        current_stream: The stream in which the consumer exists or is about to be created again.

    Raises:
        BrokerError: The broker rejects the request.
    """
    by_stream: dict[str, list[tuple[str, int, int]]] = {}
    for message_id in ids:
        stream, sequence, stored_at_ns = message_id.rsplit(":", 2)
        by_stream.setdefault(stream, []).append((message_id, int(sequence), int(stored_at_ns)))
    outcomes: dict[str, BrokerOutcome] = {}
    for stream, messages in by_stream.items():
        consumer_progress = await get_progress(client, stream, consumer)
        for message_id, sequence_number, stored_ns in messages:
            if outcome := _outcome(
                consumer_progress, sequence_number, stored_ns, is_current=stream == current_stream
            ):
                outcomes[message_id] = outcome
    return outcomes


def _outcome(
    progress: ConsumerProgress | None, sequence: int, stored_at_ns: int, *, is_current: bool
) -> BrokerOutcome | None:
    """Return the outcome of one message, or ``None`` if it may still be delivered.

    Args:
        progress: Progress of its consumer, or ``None`` if the stream does not exist.
        sequence: Its sequence in the stream.
        stored_at_ns: When the stream stored it, in Unix nanoseconds.
        is_current: Whether the stream is the one that is being consumed.
    """
    if (
        progress is None or stored_at_ns // 1000 < progress.stream_created_us
    ):  # the stream was deleted and created again
        return _DELETED_BY_STREAM
    if progress.ack_floor is None:
        return None if is_current else _DELETED_BY_STREAM
    if sequence > progress.ack_floor:
        return None
    return (
        _DELETED_BY_STREAM if progress.keeps_acknowledged and sequence < progress.first_sequence else _ACKNOWLEDGED
    )
