"""Deliveries of messages to functions: the invocation of one message, and the request that its function gets."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from fnkit.contract.invocation import decode_text, is_base64, map_failure, map_response, needs_complete_body
from fnkit.platform.data_plane.counters import FunctionCounters
from fnkit.platform.data_plane.gateway.invocation import Invocation
from fnkit.platform.data_plane.gateway.request import ClientRequest, encode_invocation
from fnkit.platform.data_plane.gateway.response import failure_response, pass_through_head
from fnkit.platform.data_plane.gateway.tracing import Trace
from fnkit.platform.data_plane.interface import Engine, RequestFailure, ResponseHeaders
from fnkit.platform.model.delivery_protocol import USER_AGENT, DeliveryRequest, DeliveryResponse
from fnkit.platform.model.routing import Route

__all__ = [
    "DELIVERY_CLIENT_HOST",
    "MAX_ERROR_EXCERPT_BYTES",
    "DeliveryInvocation",
    "InvocationTemplates",
    "build_http_request",
]

DELIVERY_CLIENT_HOST: Final = "127.0.0.1"
"""The client address of messages, in the headers of the event."""
_USER_AGENT_HEADER: Final = (b"user-agent", USER_AGENT.encode())
_MAX_TEMPLATES: Final = 4096
_PLACEHOLDER: Final = uuid.uuid4().hex  # random, so that no route or content type contains a placeholder
_LENGTH_PLACEHOLDER: Final = f"length {_PLACEHOLDER}"
_REQUEST_ID_PLACEHOLDER: Final = f"id {_PLACEHOLDER}"
_BODY_PLACEHOLDER: Final = (
    f"body {_PLACEHOLDER}"  # the space keeps it from being base64, which would add ``isBase64Encoded``
)
_BASE64_FLAG: Final = b',"isBase64Encoded":true'
_encoder: Final = msgspec.json.Encoder()

MAX_ERROR_EXCERPT_BYTES: Final = 300
"""Bytes of an error body that are reported to control."""
_FAILURE_STATUS: Final = 300
_HANDLER_ERROR_STATUS: Final = 500
_MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
_JSON_WHITESPACE: Final = b" \t\r\n"


def build_http_request(delivery: DeliveryRequest) -> ClientRequest:
    """Return the HTTP request for a message, with the headers recorded from Scaleway's deliveries."""
    request = ClientRequest()
    request.method = "POST"
    request.target = b"/"
    request.host = delivery.host
    request.host_count = 1
    request.content_length = request.body_bytes = len(delivery.body)
    request.headers = _delivery_headers(delivery, b"%d" % request.body_bytes)
    request.body = [delivery.body]
    request.is_complete = True
    return request


def _delivery_headers(delivery: DeliveryRequest, length: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", delivery.host),
        _USER_AGENT_HEADER,
        (b"content-type", delivery.content_type),
        (b"content-length", length),
    ]


class _InvocationTemplate(NamedTuple):
    """The constant parts of an encoded request, before and after its length, request id and body."""

    before_length: bytes
    before_id: bytes
    before_body: bytes
    end: bytes


class InvocationTemplates:
    """Cache of templates, by memory limit, function name and content type.

    An event does not contain the Host header, so functions of the same name in several namespaces share a template.
    """

    def __init__(self) -> None:
        self._templates: dict[tuple[int, str, bytes], _InvocationTemplate] = {}

    def encode(self, route: Route, request: DeliveryRequest, request_id: str) -> bytes:
        """Encode event and context of a message, with the same result as ``encode_invocation``."""
        key = (route.memory, route.name, request.content_type)
        form = self._templates.get(key)
        if form is None:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            form = self._templates[key] = _build_template(route, request)
        body = request.body
        return b"".join(
            (
                form.before_length,
                b'"%d"' % len(body),
                form.before_id,
                b'"%b"' % request_id.encode("ascii"),
                form.before_body,
                _encoder.encode(decode_text(body)),
                _BASE64_FLAG if is_base64(body) else b"",
                form.end,
            )
        )


def _build_template(route: Route, delivery: DeliveryRequest) -> _InvocationTemplate:
    request = build_http_request(DeliveryRequest(delivery.host, delivery.content_type, _BODY_PLACEHOLDER.encode()))
    request.headers = _delivery_headers(delivery, _LENGTH_PLACEHOLDER.encode())
    whole = encode_invocation(
        request,
        route,
        "/",
        "",
        request_id=_REQUEST_ID_PLACEHOLDER,
        client_host=DELIVERY_CLIENT_HOST,
        hide_credentials=False,
    )
    before_length, _, rest = whole.partition(b'"%b"' % _LENGTH_PLACEHOLDER.encode())
    before_id, _, rest = rest.partition(b'"%b"' % _REQUEST_ID_PLACEHOLDER.encode())
    before_body, _, end = rest.partition(b'"%b"' % _BODY_PLACEHOLDER.encode())
    return _InvocationTemplate(before_length, before_id, before_body, end)


class DeliveryInvocation(Invocation):
    """Delivers one message and calls ``on_done`` with the status that an HTTP client would get.

    ``on_done`` is called once, unless the invocation is cancelled.
    """

    __slots__ = (
        "_body_parts",
        "_body_size",
        "_function_id",
        "_on_done",
        "_request_id",
        "_response_headers",
        "_response_status",
    )

    def __init__(
        self,
        engine: Engine,
        counters: FunctionCounters,
        function_id: str,
        request_id: str,
        payload: bytes,
        on_done: Callable[[DeliveryResponse], None],
        trace: Trace | None,
    ) -> None:
        super().__init__(engine, counters, payload, trace)
        self._function_id = function_id
        self._request_id = request_id
        self._on_done = on_done
        self._response_status = 0
        self._response_headers: ResponseHeaders = ()
        self._body_parts: list[bytes] = []
        self._body_size = 0

    def start(self) -> None:
        """Request an instance from the engine."""
        pending_request = self._engine.acquire(self._function_id, self._request_id, self)
        # ``acquire`` may call back at once, and the callback may cancel this invocation.
        if pending_request is not None and not self._is_cancelled:
            self._pending_request = pending_request

    # Listener

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        """Store the head of the response."""
        self._response_status, self._response_headers = status, headers

    def on_response_data(self, data: bytes) -> None:
        """Buffer a piece of the body; discard it beyond the size up to which a body is mapped."""
        self._body_size += len(data)
        if self._body_size <= _MAX_BUFFERED_BYTES:
            self._body_parts.append(data)

    def on_response_end(self) -> None:
        """Report the mapped response."""
        self._pending_request = None
        status, body = self._map_response(b"".join(self._body_parts))
        self._count_response(status)
        self._on_done(
            DeliveryResponse(
                status,
                from_function=True,
                error_excerpt=body[:MAX_ERROR_EXCERPT_BYTES] if status >= _FAILURE_STATUS else b"",
            )
        )

    def on_failure(self, failure: RequestFailure) -> None:
        """Report the gateway's error response."""
        self._pending_request = None
        if self._is_cancelled:
            return
        response = failure_response(failure)
        self._count_response(response.status)
        self._on_done(
            DeliveryResponse(
                response.status, from_function=False, error_excerpt=response.body[:MAX_ERROR_EXCERPT_BYTES]
            )
        )

    def _map_response(self, body: bytes) -> tuple[int, bytes]:
        if self._response_status == _HANDLER_ERROR_STATUS:
            mapped = map_failure(body.decode("utf-8", "replace"))
        elif (
            self._body_size > _MAX_BUFFERED_BYTES
            or not (start := body.lstrip(_JSON_WHITESPACE))
            or not needs_complete_body(start[0])
        ):
            return pass_through_head(self._response_status, self._response_headers)[0], body
        else:
            headers = [
                (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._response_headers
            ]
            mapped = map_response(self._response_status, headers, body)
        return mapped.status, mapped.body
