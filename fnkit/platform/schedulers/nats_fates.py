"""The outcomes of stream messages that no process holds any more, as the acknowledgements of the consumer tell.

Only this platform acknowledges, and only messages that were handled or that the log stores as dead. So a message
below the acknowledgement floor was handled, unless the stream deleted it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fnkit.platform.records.delivery import DeliveryStatus
from fnkit.platform.schedulers.jetstream import Progress, progress
from fnkit.platform.schedulers.listening import Fate

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["UNKEPT", "is_of_stream", "stream_fates"]

UNKEPT: Final = Fate(
    DeliveryStatus.FAILED,
    "the platform stopped before the function responded, and no stream has the message; the function may have run",
)
"""Outcome of a message that no stream stores, and that was in flight in a process that ended."""

_TAKEN: Final = Fate(
    DeliveryStatus.SUCCEEDED,
    "acknowledged after a successful response, which was not recorded before the platform stopped",
)
_DROPPED: Final = Fate(
    DeliveryStatus.UNKNOWN,
    "the stream deleted the message before it was acknowledged; the function may have run",
)


def is_of_stream(message_id: str) -> bool:
    """Return whether the id is that of a ``StreamMessage``."""
    return ":" in message_id


async def stream_fates(client: Client, consumer: str, ids: Iterable[str], current_stream: str) -> dict[str, Fate]:
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
    outcomes: dict[str, Fate] = {}
    for stream, messages in by_stream.items():
        consumer_progress = await progress(client, stream, consumer)
        for message_id, sequence_number, stored_ns in messages:
            if outcome := _fate(consumer_progress, sequence_number, stored_ns, is_current=stream == current_stream):
                outcomes[message_id] = outcome
    return outcomes


def _fate(progress: Progress | None, sequence: int, stored_at_ns: int, *, is_current: bool) -> Fate | None:
    """Return the outcome of one message, or ``None`` if it may still be delivered.

    Args:
        progress: Progress of its consumer, or ``None`` if the stream does not exist.
        sequence: Its sequence in the stream.
        stored_at_ns: When the stream stored it, in Unix nanoseconds.
        is_current: Whether the stream is the one that is being consumed.
    """
    if progress is None or stored_at_ns // 1000 < progress.created:  # the stream was deleted and created again
        return _DROPPED
    if progress.floor is None:
        return None if is_current else _DROPPED
    if sequence > progress.floor:
        return None
    return _DROPPED if progress.keeps_what_was_taken and sequence < progress.first else _TAKEN
