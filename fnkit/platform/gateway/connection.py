"""HTTP/1.1 client connections: parse requests, enforce limits, write responses in the order of the requests."""

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

_HEAD_MAX_BYTES: Final = 60 * 1024  # the default of Envoy's max_request_headers_kb
_LINGER_SECONDS: Final = 2.0
_PIPELINE_MAX: Final = 16
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection(asyncio.Protocol):
    """An ``asyncio.Protocol`` that parses with llhttp and hands complete requests to the gateway one at a time.

    Further pipelined requests wait in ``_pipeline``. After ``_read_closed`` is set, input is ignored and the
    connection closes once the responses that are due have been written.

    Args:
        gateway: Routes and starts requests.
        is_private: Whether the connection came through the private Unix socket, whose requests need no token.
        scheme: ``https`` on a TLS transport.
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
        self._began = 0.0  # time of the first byte of the request that is arriving
        self._head_bytes = 0
        self._excess = 0  # bytes received since the last byte of body content: chunk framing and trailers
        self._body_follows = False  # the request has an Upgrade header and a body, at which llhttp stops
        self._resuming = False  # a second parser reads the body of the same request
        self._waiting: deque[tuple[ClientRequest, Target | Tunnel | MappedResponse]] = deque()
        self._current: ClientRequest | None = None
        self._deaf = False  # input is ignored from here on
        self._paused = False
        self._is_full = False  # the write buffer is above its high-water mark
        self._last = self._loop.time()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = str(peer[0])
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Abandon the current invocation; otherwise its instance would stay busy forever."""
        self._gateway.connections.discard(self)
        self._waiting.clear()
        self._deaf = True
        invocation, self.exchange = self.exchange, None
        if invocation is not None:
            invocation.abandon()

    def pause_writing(self) -> None:
        """Stop reading the response of the instance until the client catches up."""
        self._is_full = True
        if self.exchange is not None:
            self.exchange.pause()

    def resume_writing(self) -> None:
        """Continue with the response, or with the next request."""
        self._is_full = False
        self._last = self._loop.time()
        if self.exchange is not None:
            self.exchange.resume()
        self._advance()

    def look(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Close the connection if its client stalls within a request or is idle; return whether it did.

        The time of a head counts from its first byte, that of a body from the last one received. Otherwise a client
        that sends a header byte now and then could hold the connection forever (slowloris).

        Args:
            now: Time of the event loop.
            request_timeout: Seconds for a head, and between two reads of a body.
            idle_timeout: Seconds without a request, or without the client reading its response.
        """
        inactive = now - self._last
        # While a request runs, or can start at once, the client waits for the gateway, not the other way round.
        if self._current is not None or (self._waiting and self._waiting[0][0].complete and not self._is_full):
            return False
        if self._in_request and not self._is_full:
            if not self._deaf and (now - self._began if self._in_head else inactive) > request_timeout:
                self._refuse_all(message_response(408, "the request did not arrive in time"))
                return True
        elif inactive > idle_timeout and self._transport is not None:
            self._transport.abort()  # close() would first wait until the client reads what is buffered
            return True
        return False

    def stop(self) -> None:
        """Close now if no request is in progress; otherwise the gateway closes after the response."""
        if self._current is None and not self._waiting:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and enforce the limits that it does not have.

        llhttp limits neither the size of a head nor that of chunk extensions and trailers. A head is counted here
        until it is complete. Framing is counted since the last body byte, so that a slow legitimate body in small
        chunks is not affected.
        """
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
                    self._refuse_all(message_response(400, "the chunk framing of the body is too long"))

    def _upgraded(self, rest: bytes) -> None:
        """Continue after an ``Upgrade`` header, which the gateway ignores as RFC 9110 section 7.8 permits.

        llhttp stops after the head of such a request, so a new parser is needed. A body would then be parsed as
        another request (request smuggling), so the new parser is first fed a head with the same framing.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self._body_follows and not self._deaf:
            self._body_follows = False
            self._resuming = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._request.framing)
        if rest and not self._deaf:
            self.data_received(rest)

    def on_message_begin(self) -> None:
        """Start a new request."""
        if self._resuming:
            return
        self._request = ClientRequest()
        self._in_head = self._in_request = True
        self._began = self._last
        self._excess = 0

    def on_url(self, url: bytes) -> None:
        """Append a piece of the request target."""
        if not self._resuming:
            self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailer fields are ignored: they must not change what was checked in the head."""
        if self._in_head:
            self._request.add_header(name, value)

    def on_headers_complete(self) -> None:
        """Route the request, so that an error is sent before the body arrives, and queue it.

        An early error for a request with a body closes the connection: reading and discarding the body would cost
        as much as accepting it.
        """
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
                self._gateway.target(request, is_private=self._private, scheme=self.scheme)
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
        # http.client and others send CONNECT as HTTP/1.0. The requests inside the tunnel are checked on their own.
        if self._parser.get_http_version() == "1.0" and request.method != "CONNECT":
            request.keep_alive = False
            raise Refused(message_response(426, "HTTP/1.1 or newer is required"))
        if request.head_size + len(request.target) > _HEAD_MAX_BYTES:
            request.keep_alive = False
            raise Refused(message_response(431, f"the headers exceed {_HEAD_MAX_BYTES} bytes"))
        if request.hosts != 1 and request.method != "CONNECT":
            request.keep_alive = False
            raise Refused(message_response(400, "a request must have exactly one Host header"))
        if request.coding not in (b"", b"chunked"):
            request.keep_alive = False
            raise Refused(message_response(501, "the only supported transfer encoding is chunked"))
        if request.upgrade == b"websocket":
            request.keep_alive = False
            raise Refused(message_response(400, "WebSockets are not supported by Serverless Functions"))

    def _tunnel(self, request: ClientRequest) -> Tunnel:
        # A rejected CONNECT closes the connection: the client may already have sent the first bytes of the tunnel.
        request.keep_alive = False
        tunnel = self._gateway.tunnel(request, private=self._private)
        request.keep_alive = True
        return tunnel

    def on_body(self, data: bytes) -> None:
        """Append a piece of the body, within the limit."""
        request = self._request
        if self._deaf:
            return
        request.size += len(data)
        if request.size > BODY_MAX_BYTES:
            self._refuse_all(message_response(413, f"the body exceeds {BODY_MAX_BYTES} bytes"))
        else:
            request.body.append(data)

    def on_message_complete(self) -> None:
        """Start the request if it is next; stop reading if the pipeline is full."""
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
        """Start the next complete request, unless earlier responses are still buffered.

        Without that condition a client that pipelines requests and never reads would fill the memory.
        """
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
        """Serve the tunnel: plain requests on this connection, or TLS with a new protocol on the same transport."""
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
        """Send this error after the responses that are due, then close: the input cannot be parsed further."""
        self._deaf = True
        if self._waiting and not self._waiting[-1][0].complete:
            self._waiting.pop()  # its rest will not be read
        request = ClientRequest()
        request.method = self._request.method
        request.keep_alive = False
        request.complete = True
        self._waiting.append((request, response))
        if self._current is None:
            self._advance()

    # Responses

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def respond(self, data: bytes) -> None:
        """Write to the client; discard the data if the connection is closing, since uvloop raises then."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def responded(self, *, complete: bool) -> None:
        """End the current request: start the next one, or close the connection.

        Args:
            complete: Whether the response was written completely. If not, the connection is aborted, which is how
                the client notices (RFC 9112 section 8).
        """
        request, self._current = self._current, None
        self.exchange = None
        self._last = self._loop.time()
        if not complete:
            if self._transport is not None:
                self._transport.abort()
        elif request is not None and not request.keep_alive:
            self._close_gently()
        elif self._waiting:
            self._loop.call_soon(self._advance)  # not called directly: pipelined errors would recurse

    def _close_gently(self) -> None:
        """Close, with a delay if the client may still be sending.

        Closing a socket with unread input makes the kernel send RST, and the client may lose the response before it
        has read it (RFC 9112 section 9.6). So only the write side is closed first.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if self._deaf and self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(_LINGER_SECONDS, self.abort)
        else:
            self._transport.close()


def _what_is_wrong(error: httptools.HttpParserError) -> str:
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return "the URL contains an invalid character: percent-encode it"
    return "this is not an HTTP/1.1 request"
