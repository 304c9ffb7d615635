"""Requests as clients send them, and their encoding as event and context for an instance."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

import msgspec

from fnkit.contract.event_requests import USER_AGENT
from fnkit.contract.invocation.event import build_context, build_event, decode_text, forward_headers, is_base64
from fnkit.contract.invocation.native_request import NATIVE_LANGUAGES, encode_native_head, native_text
from fnkit.platform.data_plane.body_buffer import BodyBuffer
from fnkit.platform.data_plane.gateway.auth import TOKEN_HEADER_PRIORITIES
from fnkit.platform.data_plane.gateway.conversion import LargeEvent
from fnkit.platform.model.delivery_protocol import DeliveryRequest
from fnkit.platform.model.routing import Route

_DELIVERY_CLIENT_HOST: Final = "127.0.0.1"
"""The client address of messages, in the headers of the event."""

_INSPECTED_HEADERS: Final = frozenset(
    {
        b"content-length", b"expect", b"host", b"scw_trigger_type", b"traceparent", b"tracestate",
        b"transfer-encoding", b"upgrade", b"x-forwarded-for", b"x-request-id", *TOKEN_HEADER_PRIORITIES,
    }
)  # fmt: skip
"""Headers that the gateway uses itself."""
_DELIVERY_USER_AGENT: Final = (b"user-agent", USER_AGENT.encode())
_encoder: Final = msgspec.json.Encoder()


class ClientRequest:
    """A request while and after it is parsed.

    Args:
        client_host: Address of the client.
        scheme: ``http`` or ``https``; that of the connection until the request is routed, then that of its target.

    Attributes:
        id: The id of the request, once it is routed.
        target: The request target as received, in origin, absolute or authority form.
        headers: Lower-case names and values, in order.
        head_bytes: Bytes of header names and values.
        host_count: Number of Host headers.
        transfer_encoding: Value of Transfer-Encoding, lower-case, several joined by commas.
        token: The credential of highest priority.
        content_length: Value of Content-Length, 0 without one.
        has_trace_headers: Whether there is a ``traceparent`` or ``tracestate`` header.
        body: The body, or what has arrived of it.
        is_complete: Whether the request was received completely.
    """

    __slots__ = (
        "body",
        "client_host",
        "content_length",
        "expects_continue",
        "forwarded_for",
        "has_trace_headers",
        "head_bytes",
        "headers",
        "host",
        "host_count",
        "id",
        "is_complete",
        "keep_alive",
        "method",
        "request_id",
        "scheme",
        "target",
        "token",
        "token_priority",
        "transfer_encoding",
        "trigger_type",
        "upgrade_protocol",
    )

    def __init__(self, client_host: str = _DELIVERY_CLIENT_HOST, scheme: str = "http") -> None:
        self.client_host = client_host
        self.scheme = scheme
        self.id = ""
        self.method = ""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_bytes = 0
        self.host = b""
        self.host_count = 0
        self.transfer_encoding = b""
        self.token: bytes | None = None
        self.token_priority = len(TOKEN_HEADER_PRIORITIES)
        self.forwarded_for = b""
        self.request_id = b""
        self.trigger_type = b""
        self.upgrade_protocol = b""
        self.content_length = 0
        self.expects_continue = False
        self.has_trace_headers = False
        self.body: BodyBuffer | None = None
        self.is_complete = False
        self.keep_alive = True

    @classmethod
    def from_delivery(cls, delivery: DeliveryRequest) -> ClientRequest:
        """Return the request for a message, without its body.

        The headers are those recorded from Scaleway's deliveries.
        """
        request = cls()
        request.method = "POST"
        request.target = b"/"
        request.host = delivery.host
        request.host_count = 1
        request.content_length = len(delivery.body)
        request.headers = [
            (b"host", delivery.host),
            _DELIVERY_USER_AGENT,
            (b"content-type", delivery.content_type),
            (b"content-length", b"%d" % len(delivery.body)),
        ]
        request.is_complete = True
        return request

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a header, and extract the values that the gateway uses itself."""
        lowered = name.lower()
        value = value.rstrip(b" \t")  # llhttp keeps trailing whitespace
        self.head_bytes += len(name) + len(value)
        self.headers.append((lowered, value))
        if lowered in _INSPECTED_HEADERS:
            self._inspect_header(lowered, value)

    def _inspect_header(self, lowered: bytes, value: bytes) -> None:
        match lowered:
            case b"host":
                self.host = value
                self.host_count += 1
            case b"content-length" | b"transfer-encoding":
                self._inspect_framing_header(lowered, value)
            case b"expect":
                self.expects_continue = value.lower() == b"100-continue"
            case b"x-forwarded-for":
                self.forwarded_for += b", " + value if self.forwarded_for else value
            case b"x-request-id":
                self.request_id = value
            case b"scw_trigger_type":
                self.trigger_type = value
            case b"upgrade":
                self.upgrade_protocol = value.lower()
            case b"traceparent" | b"tracestate":
                self.has_trace_headers = True
            case _:
                if (
                    value
                    and (rank := TOKEN_HEADER_PRIORITIES.get(lowered, self.token_priority)) < self.token_priority
                ):
                    self.token, self.token_priority = value, rank

    def _inspect_framing_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.content_length = int(value) if value.isdigit() else 0
        else:
            self.transfer_encoding += (b"," if self.transfer_encoding else b"") + value.lower()

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return self.content_length > 0 or bool(self.transfer_encoding)

    @property
    def framing_header(self) -> bytes:
        """The header line that delimits the body, in lower case."""
        return (
            b"transfer-encoding: chunked" if self.transfer_encoding else b"content-length: %d" % self.content_length
        )

    @property
    def credentials(self) -> list[bytes]:
        """The values of all headers that may carry a credential."""
        return [value for name, value in self.headers if name in TOKEN_HEADER_PRIORITIES]


def _encode(event: dict[str, object], route: Route) -> bytes:
    context = build_context(memory_limit=route.memory, function_name=route.name)
    return _encoder.encode({"event": event, "context": context})


def encode_invocation(
    request: ClientRequest, route: Route, path: str, query: str, *, hide_credentials: bool
) -> bytes | LargeEvent:
    """Encode a request for the worker of an instance: event and context as JSON, or a native request.

    A large body is not encoded yet.

    Args:
        request: The complete request.
        route: The deployment that handles it.
        path: Decoded path, without the prefix of the path form.
        query: Query string, not decoded.
        hide_credentials: Whether to omit the credential headers. They belong to the caller, and a handler must
            not be able to use it.
    """
    if route.language in NATIVE_LANGUAGES:
        return _encode_native(request, path, query, hide_credentials=hide_credentials)
    body = request.body
    if body is None or not body.is_large:
        content = b"" if body is None else body.join()
        return _encode(
            _build_request_event(request, path, query, content, hide_credentials=hide_credentials), route
        )
    event = _build_request_event(request, path, query, b"", hide_credentials=hide_credentials)
    for member in ("body", "isBase64Encoded"):
        del event[member]
    before, separator, after = _encode(event, route).rpartition(b'},"context":')
    return LargeEvent(before + b',"body":', body, separator + after)


def _encode_native(request: ClientRequest, path: str, query: str, *, hide_credentials: bool) -> bytes | LargeEvent:
    headers = _forward_headers(request, hide_credentials=hide_credentials)
    head = encode_native_head(method=request.method, path=path, query=query, headers=headers)
    body = request.body
    if body is not None and body.is_large:
        return LargeEvent(head, body, b"", is_native=True)
    return head + native_text(b"" if body is None else body.join())


def _forward_headers(request: ClientRequest, *, hide_credentials: bool) -> list[tuple[str, str]]:
    return forward_headers(
        request.headers,
        client_host=request.client_host,
        scheme=request.scheme,
        request_id=request.id,
        forwarded_for=request.forwarded_for,
        hidden=TOKEN_HEADER_PRIORITIES if hide_credentials else (),
    )


def _build_request_event(
    request: ClientRequest, path: str, query: str, body: bytes, *, hide_credentials: bool
) -> dict[str, object]:
    headers = _forward_headers(request, hide_credentials=hide_credentials)
    return build_event(method=request.method, path=path, query=query, headers=headers, body=body)


def encode_delivery(delivery: DeliveryRequest, route: Route, request_id: str) -> bytes:
    """Encode a message, with the result of ``encode_invocation`` for its request.

    The events of messages with one content type differ in two headers and the body. Filling those in, instead of
    building each event, saves a sixth of the data plane's CPU per message (docs/performance.md).
    """
    body = delivery.body
    if route.language in NATIVE_LANGUAGES:
        request = ClientRequest.from_delivery(delivery)
        request.id = request_id
        headers_of_request = _forward_headers(request, hide_credentials=False)
        head = encode_native_head(method=request.method, path="/", query="", headers=headers_of_request)
        return head + native_text(body)
    event, headers = _delivery_event(delivery.content_type)
    event = event | {
        "headers": headers | {"Content-Length": str(len(body)), "X-Request-Id": request_id},
        "body": decode_text(body),
    }
    if is_base64(body):
        event["isBase64Encoded"] = True
    return _encode(event, route)


@lru_cache(maxsize=1024)
def _delivery_event(content_type: bytes) -> tuple[dict[str, object], dict[str, str]]:
    """Return the event of an empty message and its headers. An event does not contain the Host header."""
    request = ClientRequest.from_delivery(DeliveryRequest(b"", content_type, b""))
    event = _build_request_event(request, "/", "", b"", hide_credentials=False)
    event.pop("isBase64Encoded", None)
    return event, cast("dict[str, str]", event["headers"])
