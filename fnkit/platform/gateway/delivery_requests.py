"""The HTTP request that a function gets for a message.

Only four values differ between the messages of one function and content type, so the encoded request is built once
as a template, by the same code as for any request, and filled in for each message.
"""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

import msgspec

from fnkit.contract.invocation import decode_text, is_base64
from fnkit.platform.delivery_frames import USER_AGENT, Post
from fnkit.platform.gateway.requests import ClientRequest, envelope
from fnkit.platform.routing import Route

__all__ = ["PEER", "DeliveryForms", "delivery_request"]

PEER: Final = "127.0.0.1"
"""The client address of messages, in the headers of the event."""

_AGENT: Final = (b"user-agent", USER_AGENT.encode())
_FORMS_MAX: Final = 4096
_MARK: Final = uuid.uuid4().hex  # random, so that no route or content type contains a placeholder
_LENGTH: Final = f"length {_MARK}"
_ID: Final = f"id {_MARK}"
_BODY: Final = f"body {_MARK}"  # the space keeps it from being base64, which would add ``isBase64Encoded``
_IS_BASE64: Final = b',"isBase64Encoded":true'
_encoder: Final = msgspec.json.Encoder()


def delivery_request(post: Post) -> ClientRequest:
    """Return the HTTP request for a message, with the headers recorded from Scaleway's deliveries."""
    request = ClientRequest()
    request.method = "POST"
    request.target = b"/"
    request.host = post.host
    request.hosts = 1
    request.declared = request.size = len(post.body)
    request.headers = _headers(post, b"%d" % request.size)
    request.body = [post.body]
    request.complete = True
    return request


def _headers(post: Post, length: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", post.host), _AGENT, (b"content-type", post.content_type), (b"content-length", length)]


class _Form(NamedTuple):
    """The constant parts of an encoded request, before and after its length, request id and body."""

    before_length: bytes
    before_id: bytes
    before_body: bytes
    end: bytes


class DeliveryForms:
    """Cache of templates, by memory limit, function name and content type.

    An event does not contain the Host header, so functions of the same name in several namespaces share a template.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[int, str, bytes], _Form] = {}

    def envelope(self, route: Route, post: Post, request_id: str) -> bytes:
        """Encode event and context of a message, with the same result as ``encode_invocation``."""
        key = (route.memory, route.name, post.content_type)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= _FORMS_MAX:
                self._forms.clear()
            form = self._forms[key] = _form(route, post)
        body = post.body
        return b"".join(
            (
                form.before_length,
                b'"%d"' % len(body),
                form.before_id,
                b'"%b"' % request_id.encode("ascii"),
                form.before_body,
                _encoder.encode(decode_text(body)),
                _IS_BASE64 if is_base64(body) else b"",
                form.end,
            )
        )


def _form(route: Route, post: Post) -> _Form:
    request = delivery_request(Post(post.host, post.content_type, _BODY.encode()))
    request.headers = _headers(post, _LENGTH.encode())
    whole = envelope(request, route, "/", "", request_id=_ID, client_host=PEER, hide_credentials=False)
    before_length, _, rest = whole.partition(b'"%b"' % _LENGTH.encode())
    before_id, _, rest = rest.partition(b'"%b"' % _ID.encode())
    before_body, _, end = rest.partition(b'"%b"' % _BODY.encode())
    return _Form(before_length, before_id, before_body, end)
