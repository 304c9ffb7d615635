"""The part of the JetStream API that a trigger needs: find a stream, manage a durable consumer, pull its messages.

Requests are JSON on ``$JS.API.…`` (https://docs.nats.io/reference/reference-protocols/nats_api_reference). A server
or account without JetStream responds with "no responders", or with an error that says so.

A pull request states a number of messages and an expiry. When it ends early, the broker reports how many were not
delivered (``Nats-Pending-Messages``). While a request is open, the broker sends a message or a heartbeat at least
every five seconds. Silence means that the broker lost the request, and the consumer starts again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.nats_subjects import covers

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = [
    "ACK_WAIT_SECONDS",
    "Progress",
    "Stream",
    "ack_floor",
    "bodies_after",
    "ensure_consumer",
    "find_stream",
    "last_sequence",
    "progress",
    "remove_consumer",
]

ACK_WAIT_SECONDS: Final = 10.0
"""Seconds after which the broker delivers an unacknowledged message again, because this process died."""

_SECONDS: Final = 5.0
_NANOSECONDS: Final = 10**9
# Error codes of https://github.com/nats-io/nats-server/blob/main/server/errors.json
_NO_JETSTREAM: Final = frozenset({10039, 10076})  # not enabled for the account, not enabled
_NO_STREAM: Final = 10059
_NO_CONSUMER: Final = 10014
_NO_MESSAGE: Final = 10037
_NAMED_STREAMS: Final = 256


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Names(msgspec.Struct, frozen=True):
    streams: list[str] | None = None
    error: _Error | None = None


class _StreamConfig(msgspec.Struct, frozen=True):
    subjects: list[str] | None = None
    retention: str = "limits"


class _StreamState(msgspec.Struct, frozen=True):
    first_seq: int = 0
    last_seq: int = 0


class _StreamInfo(msgspec.Struct, frozen=True):
    config: _StreamConfig = _StreamConfig()
    created: str = "1970-01-01T00:00:00Z"
    state: _StreamState = _StreamState()
    error: _Error | None = None


class _Sequence(msgspec.Struct, frozen=True):
    stream_seq: int = 0


class _ConsumerInfo(msgspec.Struct, frozen=True):
    ack_floor: _Sequence = _Sequence()
    error: _Error | None = None


class Stream(msgspec.Struct, frozen=True):
    """A stream that stores everything published on a trigger's subject.

    Attributes:
        name: Its name.
        is_work_queue: Whether it deletes messages when they are acknowledged.
        created: Creation time, as the broker formats it. It distinguishes streams that had the same name.
    """

    name: str
    is_work_queue: bool
    created: str


class Progress(msgspec.Struct, frozen=True):
    """How far a consumer has processed its stream.

    Attributes:
        ack_floor: Sequence up to which everything was acknowledged, or ``None`` if the consumer does not exist.
        first_sequence: First sequence that the stream still stores.
        stream_created_us: When the stream was created, in Unix microseconds.
        keeps_acknowledged: Whether the stream stores messages after they were acknowledged.
    """

    floor: int | None
    first: int
    created: int
    keeps_what_was_taken: bool


class _StoredMessage(msgspec.Struct, frozen=True):
    seq: int = 0
    data: bytes = b""  # base64 in JSON


class _Stored(msgspec.Struct, frozen=True):
    message: _StoredMessage = _StoredMessage()
    error: _Error | None = None


T = TypeVar("T", _Names, _StreamInfo, _ConsumerInfo, _Stored)


async def find_stream(client: Client, subject: str) -> Stream | None:
    """Return the stream that stores everything published on a subject.

    Returns:
        ``None`` if there is no such stream, or no JetStream.

    Raises:
        BrokerError: The broker rejects the request.
    """
    names = await _ask(client, "STREAM.NAMES", {"subject": subject}, _Names)
    if names is None or (names.error is not None and names.error.err_code in _NO_JETSTREAM):
        return None
    _check(names.error)
    # STREAM.NAMES also returns streams that match only part of the subject.
    for name in (names.streams or [])[:_NAMED_STREAMS]:
        info = await _ask(client, f"STREAM.INFO.{name}", {}, _StreamInfo)
        if info is not None and info.error is None and covers(info.config.subjects or (), subject):
            return Stream(name, info.config.retention == "workqueue", info.created)
    return None


async def ensure_consumer(
    client: Client, stream: Stream, name: str, subject: str, *, since: str, after: int | None
) -> None:
    """Create the durable consumer if it does not exist.

    Args:
        client: The session.
        stream: The stream.
        name: Name of the consumer.
        subject: The trigger's subject.
        since: RFC 3339 time from which messages are delivered.
        after: Sequence up to which an earlier consumer of that name acknowledged everything; takes precedence over
            ``since``. ``None`` if unknown.

    Raises:
        BrokerError: The broker rejects the consumer.
    """
    existing = await _ask(client, f"CONSUMER.INFO.{stream.name}.{name}", {}, _ConsumerInfo)
    if existing is not None and existing.error is None:
        return
    config: dict[str, object] = {
        "durable_name": name,
        "name": name,
        "description": "a trigger of fnkit",
        "ack_policy": "explicit",
        "ack_wait": int(ACK_WAIT_SECONDS * _NANOSECONDS),
        "filter_subject": subject,
        # docs/decisions/nats-consumers.md: limits of the broker would let failing messages block others.
        "max_ack_pending": -1,
        "max_deliver": -1,
        "replay_policy": "instant",
    }
    if stream.is_work_queue:
        config["deliver_policy"] = "all"  # the only policy that a work-queue stream supports
    elif after is not None:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
    else:
        config |= {"deliver_policy": "by_start_time", "opt_start_time": since}
    created = await _ask(
        client,
        f"CONSUMER.DURABLE.CREATE.{stream.name}.{name}",
        {"stream_name": stream.name, "config": config},
        _ConsumerInfo,
    )
    error = _Error(description="JetStream does not respond") if created is None else created.error
    if error is not None:
        raise BrokerTrouble(
            f"stream {stream.name} does not accept a consumer for this trigger: {error.description}"
        )


async def ack_floor(client: Client, stream: str, name: str) -> int | None:
    """Return the sequence up to which everything was acknowledged, or ``None`` if the consumer does not exist.

    Raises:
        BrokerError: The broker rejects the request.
    """
    info = await _ask(client, f"CONSUMER.INFO.{stream}.{name}", {}, _ConsumerInfo)
    if info is None or (info.error is not None and info.error.err_code in (_NO_CONSUMER, _NO_STREAM)):
        return None
    _check(info.error)
    return info.ack_floor.stream_seq


async def progress(client: Client, stream: str, name: str) -> Progress | None:
    """Return how far a consumer has processed its stream, or ``None`` if the stream does not exist.

    Raises:
        BrokerError: The broker rejects the request or does not respond.
    """
    info = await _ask(client, f"STREAM.INFO.{stream}", {}, _StreamInfo)
    if info is None:
        raise BrokerTrouble("JetStream does not respond")
    if info.error is not None and info.error.err_code == _NO_STREAM:
        return None
    _check(info.error)
    return Progress(
        floor=await ack_floor(client, stream, name),
        first=info.state.first_seq,
        created=int(datetime.fromisoformat(info.created).timestamp() * 10**6),
        keeps_what_was_taken=info.config.retention == "limits",
    )


async def last_sequence(client: Client, stream: str) -> int:
    """Return the sequence of the last message that a stream stored; 0 if it never stored one.

    Raises:
        BrokerError: The broker rejects the request, or the stream does not exist.
    """
    info = await _ask(client, f"STREAM.INFO.{stream}", {}, _StreamInfo)
    if info is None:
        raise BrokerTrouble("JetStream does not respond")
    _check(info.error)
    return info.state.last_seq


async def bodies_after(client: Client, stream: str, subject: str, after: int, limit: int) -> list[bytes]:
    """Return the bodies of messages on a subject that a stream stored after a sequence.

    Args:
        client: The session.
        stream: Name of the stream.
        subject: The subject.
        after: The sequence.
        limit: Largest number of messages to return.

    Raises:
        BrokerError: The broker rejects the request.
    """
    bodies: list[bytes] = []
    while len(bodies) < limit:
        wanted = {"seq": after + 1, "next_by_subj": subject}
        stored = await _ask(client, f"STREAM.MSG.GET.{stream}", wanted, _Stored)
        if stored is None or (stored.error is not None and stored.error.err_code == _NO_MESSAGE):
            break
        _check(stored.error)
        bodies.append(stored.message.data)
        after = stored.message.seq
    return bodies


async def remove_consumer(client: Client, stream: str, name: str) -> None:
    """Delete a durable consumer. Do nothing if it does not exist.

    Raises:
        BrokerError: The broker rejects the request.
    """
    deleted = await _ask(client, f"CONSUMER.DELETE.{stream}.{name}", {}, _ConsumerInfo)
    if (
        deleted is not None
        and deleted.error is not None
        and deleted.error.err_code not in (_NO_CONSUMER, _NO_STREAM)
    ):
        _check(deleted.error)


def _check(error: _Error | None) -> None:
    """Raise ``BrokerError`` if there is an error."""
    if error is not None:
        raise BrokerTrouble(f"JetStream: {error.description}")


async def _ask(client: Client, operation: str, body: dict[str, object], kind: type[T]) -> T | None:
    """Return the response to an API request, or ``None`` if there is no responder."""
    from nats.errors import Error, NoRespondersError

    try:
        response = await client.request(f"$JS.API.{operation}", msgspec.json.encode(body), timeout=_SECONDS)
        return msgspec.json.decode(response.data, type=kind)
    except NoRespondersError:
        return None
    except TimeoutError:
        raise BrokerTrouble(
            f"JetStream did not respond to {operation.partition('.fnkit')[0]} within {_SECONDS:g} s"
        ) from None
    except Error as error:
        raise BrokerTrouble(str(error)) from None
    except msgspec.MsgspecError:
        raise BrokerTrouble("the response of JetStream cannot be decoded") from None
