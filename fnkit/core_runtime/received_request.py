"""A request of a client: whether a handler may see it, and what the handler gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import dropwhile
from operator import not_
from typing import Final

from fnkit.contract.invocation.event import decode_path, forward_headers, is_host, resolve_request_id
from fnkit.contract.invocation.http_head import json_message
from fnkit.contract.invocation.native_request import encode_native_head, native_text
from fnkit.contract.invocation.response import MappedResponse, immediate_response
from fnkit.core_runtime.event_document import encode_document
from fnkit.core_runtime.http_request import RequestHead, RequestRefused
from fnkit.core_runtime.memory import BodyBudget, BodyBytes
from fnkit.core_runtime.settings import CoreRuntimeSettings

INSTANCE_KEY_HEADER: Final = b"fnkit-instance-key"
NONCE_HEADER: Final = b"fnkit-request"
REQUEST_ID_HEADER: Final = b"fnkit-request-id"

_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
_FORBIDDEN: Final = MappedResponse(403, [], b"")


class ReceivedRequest:
    """A request while and after it arrives.

    Args:
        head: The request line and the headers.
        client_host: Address of the client.
        settings: The settings of the function.
        budget: The memory of its body.

    Attributes:
        response: The response, if no handler is needed for it.
        path: The decoded path.
        is_complete: Whether the request was received completely.
    """

    def __init__(
        self, head: RequestHead, client_host: str, settings: CoreRuntimeSettings, budget: BodyBudget
    ) -> None:
        self.head = head
        self.body = BodyBytes(budget)
        self.response: MappedResponse | None = None
        self.path = ""
        self.is_complete = False
        self._settings = settings
        self._client_host = client_host
        self._scheme = "http"
        self._query = b""

    @property
    def is_head(self) -> bool:
        """Whether the response has no body."""
        return self.head.method == "HEAD"

    @property
    def nonce(self) -> bytes | None:
        """What the response to a platform's gateway repeats, possibly nothing; ``None`` for other clients."""
        return self._single_value(NONCE_HEADER) if self._settings.has_gateway else None

    @property
    def request_id(self) -> bytes:
        """The id of the request in the platform's log; empty without a valid one."""
        value = self._single_value(REQUEST_ID_HEADER)
        return value if _REQUEST_ID.fullmatch(value) else b""

    def _single_value(self, name: bytes) -> bytes:
        values = self.head.values(name)
        return values[0] if len(values) == 1 else b""

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends the body."""
        return any(value.lower() == b"100-continue" for value in self.head.values(b"expect"))

    def check(self) -> None:
        """Check the head in the order of the platform's gateway.

        Raises:
            RequestRefused: The request gets a response without a handler.
        """
        check_head(self.head)
        if self._settings.has_gateway:
            self._check_instance_key()
        else:
            self._check_target()

    def _check_instance_key(self) -> None:
        # Imported here, because it brings OpenSSL, which others need not load.
        from hmac import compare_digest

        keys = self.head.values(INSTANCE_KEY_HEADER)
        if len(keys) != 1 or not compare_digest(keys[0], self._settings.instance_key):
            raise RequestRefused(_FORBIDDEN, closes=self.head.has_body)

    def _check_target(self) -> None:
        closes = self.head.has_body
        raw, _, self._query = self.head.target.partition(b"?")
        if not raw.startswith(b"/"):
            raw = self._strip_absolute_form(raw)
        try:
            self.path = decode_path(raw.decode("latin-1"))
        except ValueError:
            refusal = json_message(400, "the path has an invalid percent-escape")
            raise RequestRefused(refusal, closes=closes) from None
        trigger_type = b"".join(self.head.values(b"scw_trigger_type")[-1:]).decode("latin-1")
        length = self.head.content_length
        own = immediate_response(self.path, length, trigger_type, self._settings.allow_favicon)
        if own is not None:
            raise RequestRefused(own, closes=closes)

    def _strip_absolute_form(self, target: bytes) -> bytes:
        """Return the path of an absolute target (``GET http://host/path``), as proxies send it."""
        name, separator, rest = target.partition(b"://")
        scheme = name.lower()
        if not separator or scheme not in (b"http", b"https"):
            if target == b"*":
                return b"/"
            refusal = json_message(400, "the request target is not a path")
            raise RequestRefused(refusal, closes=self.head.has_body)
        host, _, path = rest.partition(b"/")
        if not is_host(host):
            refusal = json_message(400, "the request target has no valid host")
            raise RequestRefused(refusal, closes=self.head.has_body)
        self._scheme = scheme.decode()
        return b"/" + path

    def encode(self) -> Sequence[bytes]:
        """Return what the worker gets, event and context as JSON or a native request, and forget the body."""
        request_ids = self.head.values(b"x-request-id")
        forwarded_for = b", ".join(dropwhile(not_, self.head.values(b"x-forwarded-for")))
        headers = forward_headers(
            self.head.headers,
            client_host=self._client_host,
            scheme=self._scheme,
            request_id=resolve_request_id(request_ids[-1] if request_ids else b""),
            forwarded_for=forwarded_for,
        )
        if self._settings.is_native:
            head = encode_native_head(
                method=self.head.method, path=self.path, query=self._query.decode("latin-1"), headers=headers
            )
            text = native_text(bytes(self.body.content))
            self.body.clear()
            return [head, text]
        document = encode_document(
            method=self.head.method,
            path=self.path,
            query=self._query.decode("latin-1"),
            headers=headers,
            body=self.body.content,
            memory=self._settings.memory,
            function_name=self._settings.function_name,
        )
        self.body.clear()
        return document


def check_head(head: RequestHead) -> None:
    """Reject a head that is not supported.

    Each rejection closes the connection: what follows may be no request (frames of a WebSocket), or a proxy in
    front may divide it into requests differently (request smuggling).

    Raises:
        RequestRefused: The head is rejected.
    """
    hosts = head.values(b"host")
    if head.version == "1.0" and head.method != "CONNECT":
        problem = json_message(426, "HTTP/1.1 is required")
    elif head.version not in ("1.0", "1.1"):
        problem = json_message(400, "this is not an HTTP/1.1 request")
    elif head.method == "CONNECT":
        problem = json_message(405, "CONNECT is not supported")
    elif len(hosts) != 1:
        problem = json_message(400, "a request must have exactly one Host header")
    elif not is_host(hosts[0]):
        problem = json_message(400, "the Host header is not a name or address with an optional port")
    elif head.transfer_encoding not in (b"", b"chunked"):
        problem = json_message(501, "the only supported transfer encoding is chunked")
    elif any(value.lower() == b"websocket" for value in head.values(b"upgrade")):
        problem = json_message(400, "WebSockets are not supported by Serverless Functions")
    else:
        return
    raise RequestRefused(problem)
