"""The part of JetStream that a trigger needs: find a stream, manage a durable consumer, pull its messages.

Requests are JSON on ``$JS.API.…`` (https://docs.nats.io/reference/reference-protocols/nats_api_reference). A server
or account without JetStream responds with "no responders", or with an error that says so.

A pull request states a number of messages and an expiry. When it ends early, the broker reports how many were not
delivered (``Nats-Pending-Messages``). While a request is open, the broker sends a message or a heartbeat at least
every five seconds. Silence means that the broker lost the request, and the consumer starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from fnkit.platform.control.events.queues.interface import BrokerError, Prefetch
from fnkit.platform.control.events.queues.nats.connection import NatsConnection
from fnkit.platform.control.events.queues.nats.core import Overlap

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

ACK_WAIT_SECONDS: Final = 10.0
"""Seconds after which the broker delivers an unacknowledged message again, because this process died."""

_NANOSECONDS_PER_SECOND: Final = 10**9
_ACK_TOKENS_WITH_DOMAIN: Final = 11

_PULL_REQUEST: Final = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}'
_PULL_EXPIRY: Final = 30 * _NANOSECONDS_PER_SECOND
_HEARTBEAT_INTERVAL: Final = 5 * _NANOSECONDS_PER_SECOND
_SILENCE_TIMEOUT: Final = 12.0
_HEARTBEAT_STATUS: Final = "100"
_REQUEST_ENDED_STATUSES: Final = frozenset({"408", "409"})
"""The request expired; it was ended by a change of the consumer or of its leader."""

_REQUEST_TIMEOUT: Final = 5.0
_MAX_STREAMS: Final = 256
# Error codes of https://github.com/nats-io/nats-server/blob/main/server/errors.json
_JETSTREAM_NOT_ENABLED: Final = frozenset({10039, 10076})  # not enabled for the account, not enabled
_CONSUMER_NOT_FOUND: Final = frozenset({10014, 10059})  # there is no such consumer, no such stream


class StreamMessage:
    """A message of a JetStream consumer. Its reply subject contains its metadata and receives its acknowledgement.

    The subject is ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer
    sequence>.<timestamp>.<pending>``; the newer form has ``<domain>.<account hash>`` after ``ACK``.
    """

    __slots__ = ("_connection", "_reply_subject", "body", "deliveries", "id", "sequence")

    # The broker counts deliveries, including those without a response; the consumer core counts attempts.
    attempt: None = None

    def __init__(self, connection: NatsConnection, message: Msg) -> None:
        self._connection = connection
        self._reply_subject = message.reply
        self.body = message.data
        tokens = message.reply.split(".")
        first = 4 if len(tokens) >= _ACK_TOKENS_WITH_DOMAIN else 2
        stream, _, delivered, sequence, _, timestamp = tokens[first : first + 6]
        self.deliveries = int(delivered)
        self.sequence = int(sequence)
        # The timestamp distinguishes streams of one name: a stream that was created again restarts at sequence 1.
        self.id = f"{stream}:{sequence}:{timestamp}"

    async def ack(self) -> None:
        """Acknowledge the message."""
        self._connection.publish(self._reply_subject, b"+ACK")

    async def nack(self, delay: float) -> None:
        """Have the broker deliver the message again after a delay."""
        arguments = b'{"delay": %d}' % int(delay * _NANOSECONDS_PER_SECOND) if delay > 0 else b""
        self._connection.publish(self._reply_subject, b"-NAK " + arguments if arguments else b"-NAK")

    async def terminate(self) -> None:
        """Tell the broker not to deliver the message again."""
        self._connection.publish(self._reply_subject, b"+TERM")

    async def extend(self) -> None:
        """Restart the acknowledgement timeout."""
        self._connection.publish(self._reply_subject, b"+WPI")


class PullConsumer:
    """The messages of one consumer in one session."""

    def __init__(
        self,
        connection: NatsConnection,
        client: Client,
        stream: str,
        consumer: str,
        prefetch: Prefetch,
        *,
        ack_floor: int = 0,
        overlap: Overlap | None = None,
    ) -> None:
        """Create the consumer; ``run`` pulls messages.

        Args:
            connection: Publishes acknowledgements.
            client: The session.
            stream: Name of the stream.
            consumer: Name of the durable consumer.
            prefetch: Receives the messages.
            ack_floor: Messages up to this sequence are acknowledged without being delivered. A consumer of a
                work-queue stream cannot begin at a sequence, and delivers handled messages after it was recreated.
            overlap: Messages that a subscription received before; copies of them get their ids.
        """
        self._connection = connection
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._prefetch = prefetch
        self._ack_floor = ack_floor
        self._overlap = overlap
        self._requested = 0
        self._wake_up = asyncio.Event()
        self._is_stopped = False
        self._last_received_at = 0.0

    async def run(self) -> None:
        """Receive messages until cancelled. Return if the consumer no longer exists or the broker is silent.

        Raises:
            BrokerError: The connection broke.
        """
        from nats.errors import Error

        inbox = self._client.new_inbox()
        self._prefetch.on_demand = self._on_demand
        self._wake_up.set()
        try:
            subscription = await self._client.subscribe(inbox, cb=self._on_message)
            try:
                await self._request_messages(inbox)
            finally:
                self._prefetch.on_demand = lambda: None
                with contextlib.suppress(Error):
                    await subscription.unsubscribe()
        except Error as error:
            raise BrokerError(f"NATS: {error}") from None

    async def _request_messages(self, inbox: str) -> None:
        loop = asyncio.get_running_loop()
        self._last_received_at = loop.time()
        watch = asyncio.ensure_future(self._watch_heartbeats())
        try:
            while not self._is_stopped:
                self._wake_up.clear()
                if more := self._next_batch():
                    if self._requested == 0:
                        self._last_received_at = loop.time()
                    self._requested += more
                    await self._connection.flush()  # acknowledgements and the request share one write
                    await self._client.publish(
                        self._subject, _PULL_REQUEST % (more, _PULL_EXPIRY, _HEARTBEAT_INTERVAL), reply=inbox
                    )
                await self._wake_up.wait()
        finally:
            watch.cancel()

    def _next_batch(self) -> int:
        """Return how many messages to request now.

        A request costs the broker and this process as much as a message does. So messages are requested in batches,
        unless a delivery slot is free that no requested message is on its way to.
        """
        more = self._prefetch.demand - self._requested
        worthwhile = more * 2 >= self._prefetch.limit or self._requested < self._prefetch.free_slots
        return more if more > 0 and worthwhile else 0

    def _on_demand(self) -> None:
        if not self._wake_up.is_set() and self._next_batch():
            self._wake_up.set()

    async def _watch_heartbeats(self) -> None:
        """Stop when the broker is silent."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SILENCE_TIMEOUT / 4)
            if self._requested > 0 and loop.time() - self._last_received_at > _SILENCE_TIMEOUT:
                self._stop()

    async def _on_message(self, message: Msg) -> None:
        self._last_received_at = asyncio.get_running_loop().time()
        headers = message.headers
        # Messages of the broker itself have no reply subject. A published message may have a Status header too.
        status = headers.get("Status") if headers and not message.reply else None
        if status is None:
            self._requested -= 1
            received = StreamMessage(self._connection, message)
            if self._overlap is not None:
                received.id = self._overlap.find(received.sequence, message.subject, message.data) or received.id
            if received.sequence > self._ack_floor:
                self._prefetch.put(received)
            else:
                await received.ack()
                self._wake_up.set()
        elif status in _REQUEST_ENDED_STATUSES and headers is not None and "Nats-Pending-Messages" in headers:
            self._requested -= int(headers["Nats-Pending-Messages"])
            self._wake_up.set()
            if "deleted" in headers.get("Description", "").lower():
                self._stop()
        elif status != _HEARTBEAT_STATUS:
            self._stop()  # 503 if the consumer does not exist, and any other status that ends a request

    def _stop(self) -> None:
        self._is_stopped = True
        self._wake_up.set()


class _ApiError(msgspec.Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _StreamNames(msgspec.Struct, frozen=True):
    streams: list[str] | None = None
    error: _ApiError | None = None


class _StreamConfig(msgspec.Struct, frozen=True):
    subjects: list[str] | None = None
    retention: str = "limits"


class _StreamState(msgspec.Struct, frozen=True):
    last_seq: int = 0


class _StreamInfo(msgspec.Struct, frozen=True):
    config: _StreamConfig = _StreamConfig()
    state: _StreamState = _StreamState()
    created: str = "1970-01-01T00:00:00Z"
    error: _ApiError | None = None


class _Sequence(msgspec.Struct, frozen=True):
    stream_seq: int = 0


class _ConsumerInfo(msgspec.Struct, frozen=True):
    ack_floor: _Sequence = _Sequence()
    error: _ApiError | None = None


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


T = TypeVar("T", _StreamNames, _StreamInfo, _ConsumerInfo)


async def find_stream(client: Client, subject: str) -> Stream | None:
    """Return the stream that stores everything published on a subject.

    Returns:
        ``None`` if there is no such stream, or no JetStream.

    Raises:
        BrokerError: The broker rejects the request.
    """
    request = {"subject": subject}
    names = await _request_unless_absent(client, "STREAM.NAMES", request, _StreamNames, _JETSTREAM_NOT_ENABLED)
    if names is None:
        return None
    # STREAM.NAMES also returns streams that match only part of the subject.
    for name in (names.streams or [])[:_MAX_STREAMS]:
        info = await _request(client, f"STREAM.INFO.{name}", {}, _StreamInfo)
        if info is not None and info.error is None and subject_matches(info.config.subjects or (), subject):
            return Stream(name, info.config.retention == "workqueue", info.created)
    return None


class _PublishAcknowledgement(msgspec.Struct, frozen=True):
    stream: str
    seq: int


async def publish(client: Client, stream: Stream | None, subject: str, body: bytes) -> tuple[str, int]:
    """Publish a message, and wait until its stream has stored it, or the broker has received it.

    Args:
        client: The client.
        stream: The stream that covers the subject, or ``None``.
        subject: A subject without wildcards.
        body: The message.

    Returns:
        The stream and the message's sequence in it; an empty name and 0 without a stream.

    Raises:
        BrokerError: The broker does not take the message.
    """
    from nats.errors import Error

    try:
        if stream is None:
            await client.publish(subject, body)
            await client.flush(int(_REQUEST_TIMEOUT))
            return "", 0
        response = await client.request(subject, body, timeout=_REQUEST_TIMEOUT)
        acknowledgement = msgspec.json.decode(response.data, type=_PublishAcknowledgement)
    except msgspec.MsgspecError:
        raise BrokerError("the stream did not store the message") from None
    except (Error, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise BrokerError(f"the broker did not take the message: {reason}") from None
    return acknowledgement.stream, acknowledgement.seq


def subject_matches(patterns: Iterable[str], subject: str) -> bool:
    """Return whether one of the patterns matches every subject that ``subject``, which may be a pattern, matches.

    >>> subject_matches(["orders.>"], "orders.*.paid"), subject_matches(["orders.*"], "orders.>")
    (True, False)
    """
    return any(_matches(pattern.split("."), subject.split(".")) for pattern in patterns)


def _matches(pattern: list[str], subject: list[str]) -> bool:
    for position, part in enumerate(pattern):
        if part == ">":
            return len(subject) > position
        if position >= len(subject) or subject[position] == ">":
            return False
        if part not in ("*", subject[position]):
            return False
    return len(pattern) == len(subject)


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
    existing = await _request(client, f"CONSUMER.INFO.{stream.name}.{name}", {}, _ConsumerInfo)
    if existing is not None and existing.error is None:
        return
    config: dict[str, object] = {
        "durable_name": name,
        "name": name,
        "description": "a trigger of fnkit",
        "ack_policy": "explicit",
        "ack_wait": int(ACK_WAIT_SECONDS * _NANOSECONDS_PER_SECOND),
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
    created = await _request(
        client,
        f"CONSUMER.DURABLE.CREATE.{stream.name}.{name}",
        {"stream_name": stream.name, "config": config},
        _ConsumerInfo,
    )
    error = _ApiError(description="JetStream does not respond") if created is None else created.error
    if error is not None:
        raise BrokerError(f"stream {stream.name} does not accept a consumer for this trigger: {error.description}")


async def get_ack_floor(client: Client, stream: str, name: str) -> int | None:
    """Return the sequence up to which everything was acknowledged, or ``None`` if the consumer does not exist.

    Raises:
        BrokerError: The broker rejects the request.
    """
    operation = f"CONSUMER.INFO.{stream}.{name}"
    info = await _request_unless_absent(client, operation, {}, _ConsumerInfo, _CONSUMER_NOT_FOUND)
    return None if info is None else info.ack_floor.stream_seq


async def get_last_sequence(client: Client, stream: str) -> int:
    """Return the sequence of the message that a stream stored last; 0 if it has none, or does not exist.

    Raises:
        BrokerError: The broker rejects the request.
    """
    info = await _request(client, f"STREAM.INFO.{stream}", {}, _StreamInfo)
    return 0 if info is None or info.error is not None else info.state.last_seq


async def remove_consumer(client: Client, stream: str, name: str) -> None:
    """Delete a durable consumer. Do nothing if it does not exist.

    Raises:
        BrokerError: The broker rejects the request.
    """
    operation = f"CONSUMER.DELETE.{stream}.{name}"
    await _request_unless_absent(client, operation, {}, _ConsumerInfo, _CONSUMER_NOT_FOUND)


async def _request_unless_absent(
    client: Client, operation: str, body: Mapping[str, object], response_type: type[T], absent: frozenset[int]
) -> T | None:
    """Return the response to an API request, or ``None`` if there is no responder or the error code is ``absent``.

    Raises:
        BrokerError: The broker rejects the request for another reason.
    """
    response = await _request(client, operation, body, response_type)
    if response is None or response.error is None:
        return response
    if response.error.err_code in absent:
        return None
    raise BrokerError(f"JetStream: {response.error.description}")


async def _request(client: Client, operation: str, body: Mapping[str, object], response_type: type[T]) -> T | None:
    """Return the response to an API request, or ``None`` if there is no responder."""
    from nats.errors import Error, NoRespondersError

    try:
        response = await client.request(f"$JS.API.{operation}", msgspec.json.encode(body), timeout=_REQUEST_TIMEOUT)
        return msgspec.json.decode(response.data, type=response_type)
    except NoRespondersError:
        return None
    except TimeoutError:
        raise BrokerError(
            f"JetStream did not respond to {operation.partition('.fnkit')[0]} within {_REQUEST_TIMEOUT:g} s"
        ) from None
    except Error as error:
        raise BrokerError(str(error)) from None
    except msgspec.MsgspecError:
        raise BrokerError("the response of JetStream cannot be decoded") from None
