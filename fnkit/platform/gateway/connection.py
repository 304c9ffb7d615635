"""One client connection: HTTP/1.1 in, responses out in the order of the requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

import httptools

from fnkit.contract.invocation import MappedResponse
from fnkit.platform.gateway.exchange import Exchange
from fnkit.platform.gateway.gateway import Gateway, Refused, Target
from fnkit.platform.gateway.requests import BODY_MAX_BYTES, ClientRequest
from fnkit.platform.gateway.responses import encode_response, message_response
from fnkit.platform.gateway.tunnels import ESTABLISHED, Tunnel

__all__ = ["ClientConnection"]

_HEAD_MAX_BYTES: Final = 60 * 1024  # Envoy's max_request_headers_kb
_LINGER_SECONDS: Final = 2.0
_PIPELINE_MAX: Final = 16
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection(asyncio.Protocol):
    """See the module. ``private`` connections come through the Unix socket and need no token (decision 18).

    scheme: ``https`` where the transport is a TLS one.
    """

    def __init__(self, gateway: Gateway, *, private: bool, scheme: str = "http") -> None:
        self.scheme = scheme
        self.peer = "127.0.0.1"
        self.exchange: Exchange | None = None
        self._gateway = gateway
        self._private = private
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request = ClientRequest()
        self._in_head = True
        self._in_request = False
        self._began = 0.0  # the request that is arriving
        self._head_bytes = 0
        self._excess = 0  # bytes of a body's framing since its last byte
        self._body_follows = False  # the parser takes what is behind an offer to upgrade for no body
        self._resuming = False  # another parser reads on in the same request
        self._waiting: deque[tuple[ClientRequest, Target | Tunnel | MappedResponse]] = deque()
        self._current: ClientRequest | None = None
        self._deaf = False  # nothing more is read from this client
        self._paused = False
        self._is_full = False  # what was written waits for the client to read
        self._last = self._loop.time()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = str(peer[0])
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone: what it waited for is let go, or the instance would never be free again."""
        self._gateway.connections.discard(self)
        self._waiting.clear()
        self._deaf = True
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._is_full = True
        if self.exchange is not None:
            self.exchange.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_full = False
        self._last = self._loop.time()
        if self.exchange is not None:
            self.exchange.resume()
        self._advance()

    def look(self, now: float, *, stalled: float, idle: float) -> bool:
        """Close when the client has stalled in the middle of a request, or is idle for long; say whether.

        A head has ``stalled`` seconds as a whole: a byte now and then would hold a connection for ever.
        """
        quiet = now - self._last
        if self._current is not None or (self._waiting and self._waiting[0][0].complete and not self._is_full):
            return False
        if self._in_request and not self._is_full:
            if not self._deaf and (now - self._began if self._in_head else quiet) > stalled:
                self._refuse_all(message_response(408, "the request did not arrive in time"))
                return True
        elif quiet > idle and self._transport is not None:
            self._transport.abort()  # closing waits for a client that does not read
            return True
        return False

    def stop(self) -> None:
        """Close as soon as no request is held."""
        if self._current is None and not self._waiting:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Bytes came from the client."""
        if self._deaf:
            return
        self._last = self._loop.time()
        if self._in_head:
            self._head_bytes += len(data)
        request, size = self._request, self._request.size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._deaf:
                self._refuse_all(message_response(400, _what_is_wrong(error)))
        else:
            if self._in_head and self._head_bytes > _HEAD_MAX_BYTES and not self._deaf:
                self._refuse_all(message_response(431, f"the headers exceed {_HEAD_MAX_BYTES} bytes"))
            elif not self._in_head and request is self._request:
                self._excess = self._excess + len(data) if size == request.size else 0
                if self._excess > _HEAD_MAX_BYTES and not self._deaf:
                    self._refuse_all(message_response(400, "the body's chunks are longer than what they hold"))

    def _upgraded(self, rest: bytes) -> None:
        """The parser stops at an upgrade that we did not accept: the request counts, the offer does not.

        It also takes a body for what comes after the upgrade, where it would be read as another request.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self._body_follows and not self._deaf:
            self._body_follows = False
            self._resuming = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._request.framing)
        if rest and not self._deaf:
            self.data_received(rest)

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._resuming:
            return
        self._request = ClientRequest()
        self._in_head = self._in_request = True
        self._began = self._last
        self._excess = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        if not self._resuming:
            self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Trailers are none: what was checked in the head must not change behind it."""
        if self._in_head:
            self._request.add_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete; what can be refused is refused before the body comes."""
        if self._resuming:
            self._resuming = False
            return
        self._in_head = False
        self._head_bytes = 0
        if self._deaf:
            return
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive() and not self._gateway.is_stopping
        try:
            self._check_head(request)
            target: Target | Tunnel | MappedResponse = (
                self._gateway.target(request, private=self._private, scheme=self.scheme)
                if request.method != "CONNECT"
                else self._tunnel(request)
            )
        except Refused as refused:
            target = refused.response
        if isinstance(target, MappedResponse):
            if request.has_body:
                self._refuse_all(target)
                return
        elif request.expects_continue and self._current is None and not self._waiting:
            self.respond(_CONTINUE)
        self._body_follows = bool(request.upgrade) and request.has_body and self._parser.should_upgrade()
        self._waiting.append((request, target))

    def _check_head(self, request: ClientRequest) -> None:
        # Python's and other clients open their tunnels by HTTP/1.0: what comes through them is what counts.
        if self._parser.get_http_version() == "1.0" and request.method != "CONNECT":
            request.keep_alive = False
            raise Refused(message_response(426, "HTTP/1.1 or newer is required"))
        if request.head_size + len(request.target) > _HEAD_MAX_BYTES:
            request.keep_alive = False
            raise Refused(message_response(431, f"the headers exceed {_HEAD_MAX_BYTES} bytes"))
        if request.hosts != 1 and request.method != "CONNECT":
            request.keep_alive = False
            raise Refused(message_response(400, "a request has one Host header"))
        if request.coding not in (b"", b"chunked"):
            request.keep_alive = False
            raise Refused(message_response(501, "the only transfer encoding is chunked"))
        if request.upgrade == b"websocket":
            request.keep_alive = False
            raise Refused(message_response(400, "WebSockets are not supported by Serverless Functions"))

    def _tunnel(self, request: ClientRequest) -> Tunnel:
        request.keep_alive = False
        tunnel = self._gateway.tunnel(request, private=self._private)
        request.keep_alive = True
        return tunnel

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        request = self._request
        if self._deaf:
            return
        request.size += len(data)
        if request.size > BODY_MAX_BYTES:
            self._refuse_all(message_response(413, f"the body exceeds {BODY_MAX_BYTES} bytes"))
        else:
            request.body.append(data)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._body_follows:
            return
        self._in_head = True
        self._in_request = False
        if self._deaf:
            return
        self._request.complete = True
        if self._current is None and not self._is_full:
            self._advance()
        elif len(self._waiting) >= _PIPELINE_MAX and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _advance(self) -> None:
        """Start the next complete request, unless the answers so far are still to be read: they lie in memory."""
        while (
            self._waiting
            and self._waiting[0][0].complete
            and self._current is None
            and not self._is_full
            and self._is_open()
        ):
            request, target = self._waiting.popleft()
            self._current = request
            if isinstance(target, Target):
                self._gateway.start(request, target, self)
            elif isinstance(target, MappedResponse):
                self._answer(request, target)
            else:
                self._open(target)
        if self._paused and len(self._waiting) < _PIPELINE_MAX and self._transport is not None:
            self._paused = False
            if self._is_open():
                self._transport.resume_reading()

    def _answer(self, request: ClientRequest, response: MappedResponse) -> None:
        if not self._private:
            self._gateway.meter.answers[response.status] += 1
        self.respond(encode_response(response, keep_alive=request.keep_alive, is_head=request.method == "HEAD"))
        self.responded(complete=True)

    def _open(self, tunnel: Tunnel) -> None:
        """Go on as the end of a tunnel: with plain requests, or as another connection over TLS."""
        if not tunnel.is_tls:
            self.respond(ESTABLISHED)
            self.responded(complete=True)
        elif self._transport is not None and self._gateway.tunnels is not None:
            gateway = self._gateway
            self._deaf = True
            gateway.connections.discard(self)
            self._gateway.tunnels.serve_tls(
                self._transport, lambda: ClientConnection(gateway, private=False, scheme="https")
            )

    def _refuse_all(self, response: MappedResponse) -> None:
        """Answer what cannot be read on from here, after what is still owed, and close."""
        self._deaf = True
        if self._waiting and not self._waiting[-1][0].complete:
            self._waiting.pop()  # it will never be complete
        request = ClientRequest()
        request.method = self._request.method
        request.keep_alive = False
        request.complete = True
        self._waiting.append((request, response))
        if self._current is None:
            self._advance()

    # Responses (see ``Client``)

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def respond(self, data: bytes) -> None:
        """Write. A transport that is closing raises on writes: the client is gone, its answer too."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def responded(self, *, complete: bool) -> None:
        """The response to the current request is over."""
        request, self._current = self._current, None
        self.exchange = None
        self._last = self._loop.time()
        if not complete:
            if self._transport is not None:
                self._transport.abort()
        elif request is not None and not request.keep_alive:
            self._close_gently()
        elif self._waiting:
            self._loop.call_soon(self._advance)

    def _close_gently(self) -> None:
        """Close after the client had time to read: with unread bytes of its own, closing would reset it."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._deaf and self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(_LINGER_SECONDS, self.abort)
        else:
            self._transport.close()


def _what_is_wrong(error: httptools.HttpParserError) -> str:
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return "a URL cannot hold such a character: percent-encode it"
    return "this is not an HTTP/1.1 request"
