"""JetStream's own API, as far as a trigger needs it: find a stream, make and remove a durable consumer.

Requests are JSON on ``$JS.API.…`` (NATS documentation, "JetStream wire API"). A server or account without
JetStream answers "no responders", or an error that says so.
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
"""After so long the broker hands a message out again that nobody acknowledged: this process died with it."""

_SECONDS: Final = 5.0
_NANOSECONDS: Final = 10**9
_NO_JETSTREAM: Final = frozenset({10039, 10076})
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
    """A stream that keeps everything published on a trigger's subject. is_work_queue: until it is acknowledged.

    created: when it was made, in its broker's words; another one of the same name has another.
    """

    name: str
    is_work_queue: bool
    created: str


class Progress(msgspec.Struct, frozen=True):
    """How far a consumer has come. floor: as of ``ack_floor``. first: the first sequence that its stream has.

    created: when that stream was made, in Unix microseconds. keeps_what_was_taken: acknowledging drops nothing.
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
    """Return the stream that covers all of ``subject``; ``None`` where none does, or where there is no JetStream.

    Raises:
        BrokerTrouble: the broker refuses the question.
    """
    asked = await _ask(client, "STREAM.NAMES", {"subject": subject}, _Names)
    if asked is None or (asked.error is not None and asked.error.err_code in _NO_JETSTREAM):
        return None
    _check(asked.error)
    for name in (asked.streams or [])[:_NAMED_STREAMS]:
        info = await _ask(client, f"STREAM.INFO.{name}", {}, _StreamInfo)
        if info is not None and info.error is None and covers(info.config.subjects or (), subject):
            return Stream(name, info.config.retention == "workqueue", info.created)
    return None


async def ensure_consumer(
    client: Client, stream: Stream, name: str, subject: str, *, since: str, after: int | None
) -> None:
    """Make the durable consumer where it is not there.

    since: RFC 3339 time from which messages count. after: the sequence up to which all were acknowledged, where
    an earlier consumer of that name is known to have come so far.

    Raises:
        BrokerTrouble: the broker says no.
    """
    found = await _ask(client, f"CONSUMER.INFO.{stream.name}.{name}", {}, _ConsumerInfo)
    if found is not None and found.error is None:
        return
    config: dict[str, object] = {
        "durable_name": name,
        "name": name,
        "description": "a trigger of fnkit's",
        "ack_policy": "explicit",
        "ack_wait": int(ACK_WAIT_SECONDS * _NANOSECONDS),
        "filter_subject": subject,
        "max_ack_pending": -1,
        "max_deliver": -1,
        "replay_policy": "instant",
    }
    if stream.is_work_queue:
        config["deliver_policy"] = "all"  # the only one that such a stream has
    elif after is not None:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
    else:
        config |= {"deliver_policy": "by_start_time", "opt_start_time": since}
    made = await _ask(
        client,
        f"CONSUMER.DURABLE.CREATE.{stream.name}.{name}",
        {"stream_name": stream.name, "config": config},
        _ConsumerInfo,
    )
    fault = _Error(description="JetStream does not answer") if made is None else made.error
    if fault is not None:
        raise BrokerTrouble(f"stream {stream.name} takes no consumer for this trigger: {fault.description}")


async def ack_floor(client: Client, stream: str, name: str) -> int | None:
    """Return the sequence up to which everything was acknowledged; ``None`` where the consumer is not there.

    Raises:
        BrokerTrouble: the broker refuses the question.
    """
    found = await _ask(client, f"CONSUMER.INFO.{stream}.{name}", {}, _ConsumerInfo)
    if found is None or (found.error is not None and found.error.err_code in (_NO_CONSUMER, _NO_STREAM)):
        return None
    _check(found.error)
    return found.ack_floor.stream_seq


async def progress(client: Client, stream: str, name: str) -> Progress | None:
    """Return how far a consumer has come; ``None`` where its stream is not there.

    Raises:
        BrokerTrouble: the broker refuses the question, or does not answer it.
    """
    info = await _ask(client, f"STREAM.INFO.{stream}", {}, _StreamInfo)
    if info is None:
        raise BrokerTrouble("JetStream does not answer")
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
    """Return the sequence of the last message that a stream took in; 0: none yet.

    Raises:
        BrokerTrouble: the broker refuses the question, or the stream is not there any more.
    """
    info = await _ask(client, f"STREAM.INFO.{stream}", {}, _StreamInfo)
    if info is None:
        raise BrokerTrouble("JetStream does not answer")
    _check(info.error)
    return info.state.last_seq


async def bodies_after(client: Client, stream: str, subject: str, after: int, number: int) -> list[bytes]:
    """Return up to ``number`` messages on a subject that a stream took in behind a sequence.

    Raises:
        BrokerTrouble: the broker refuses the question.
    """
    bodies: list[bytes] = []
    while len(bodies) < number:
        wanted = {"seq": after + 1, "next_by_subj": subject}
        found = await _ask(client, f"STREAM.MSG.GET.{stream}", wanted, _Stored)
        if found is None or (found.error is not None and found.error.err_code == _NO_MESSAGE):
            break
        _check(found.error)
        bodies.append(found.message.data)
        after = found.message.seq
    return bodies


async def remove_consumer(client: Client, stream: str, name: str) -> None:
    """Remove it; nothing happens where it is not there.

    Raises:
        BrokerTrouble: the broker refuses.
    """
    done = await _ask(client, f"CONSUMER.DELETE.{stream}.{name}", {}, _ConsumerInfo)
    if done is not None and done.error is not None and done.error.err_code not in (_NO_CONSUMER, _NO_STREAM):
        _check(done.error)


def _check(error: _Error | None) -> None:
    if error is not None:
        raise BrokerTrouble(f"JetStream: {error.description}")


async def _ask(client: Client, operation: str, body: dict[str, object], kind: type[T]) -> T | None:
    """Return the answer; ``None`` where nobody answers."""
    from nats.errors import Error, NoRespondersError

    try:
        answer = await client.request(f"$JS.API.{operation}", msgspec.json.encode(body), timeout=_SECONDS)
        return msgspec.json.decode(answer.data, type=kind)
    except NoRespondersError:
        return None
    except TimeoutError:
        raise BrokerTrouble(
            f"JetStream did not answer {operation.partition('.fnkit')[0]} in {_SECONDS:g} s"
        ) from None
    except Error as error:
        raise BrokerTrouble(str(error)) from None
    except msgspec.MsgspecError:
        raise BrokerTrouble("JetStream's answer cannot be read") from None
