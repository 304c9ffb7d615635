"""The request that a function gets for a message."""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

import msgspec

from fnkit.contract.invocation import decode_text, is_base64
from fnkit.platform.data_plane.gateway.request import ClientRequest, encode_invocation
from fnkit.platform.model.delivery_protocol import USER_AGENT, DeliveryRequest
from fnkit.platform.model.routing import Route

__all__ = [
    "DELIVERY_CLIENT_HOST",
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
