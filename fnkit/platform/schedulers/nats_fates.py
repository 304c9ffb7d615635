"""What became of NATS messages that nobody here holds: read off their consumer's acknowledgements.

A consumer counts up to where everything was acknowledged. We alone acknowledge, and only what a function took, or
what the log holds as dead; so a message below that mark was taken, unless its stream itself dropped it.
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
    "the platform ended before an answer came, and no stream kept the message; the function may have run",
)
"""Of a message that no stream kept: it was in a process that ended."""

_TAKEN: Final = Fate(
    DeliveryStatus.SUCCEEDED,
    "acknowledged, as only what a function took is; its answer was not written down before the platform ended",
)
_DROPPED: Final = Fate(
    DeliveryStatus.UNKNOWN,
    "its stream has dropped the message before it was acknowledged; the function may have run",
)


def is_of_stream(message_id: str) -> bool:
    """Whether a stream kept that message (see ``nats_messages``)."""
    return ":" in message_id


async def stream_fates(client: Client, consumer: str, ids: Iterable[str], listened_to: str) -> dict[str, Fate]:
    """Return what is known of messages of streams; those that may still be handed out are left out.

    listened_to: the stream where the consumer is, or is just being made again.

    Raises:
        BrokerTrouble: the broker refuses the question.
    """
    by_stream: dict[str, list[tuple[str, int, int]]] = {}
    for message_id in ids:
        stream, sequence, moment = message_id.rsplit(":", 2)
        by_stream.setdefault(stream, []).append((message_id, int(sequence), int(moment)))
    found: dict[str, Fate] = {}
    for stream, messages in by_stream.items():
        known = await progress(client, stream, consumer)
        for message_id, number, moment_ns in messages:
            if fate := _fate(known, number, moment_ns, is_listened_to=stream == listened_to):
                found[message_id] = fate
    return found


def _fate(known: Progress | None, sequence: int, moment: int, *, is_listened_to: bool) -> Fate | None:
    """moment: Unix nanoseconds when the stream took the message in."""
    if known is None or moment // 1000 < known.created:  # the stream of today is another one of that name
        return _DROPPED
    if known.floor is None:
        return None if is_listened_to else _DROPPED
    if sequence > known.floor:
        return None
    return _DROPPED if known.keeps_what_was_taken and sequence < known.first else _TAKEN
