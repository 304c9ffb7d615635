"""HTTP/1.1 client connections: parse requests, enforce limits, write responses in the order of the requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, cast

import httptools

from fnkit.contract.invocation.event import is_host
from fnkit.contract.invocation.http_head import REQUEST_BODY_MAX_BYTES, json_message, overload_response
from fnkit.contract.invocation.response import MappedResponse
from fnkit.contract.limits import HEAD_MAX_BYTES
from fnkit.platform.data_plane.body_buffer import LARGE_BODY_BYTES, BodyBuffer, BodyMemoryExhausted
from fnkit.platform.data_plane.gateway.gateway import Gateway, RequestRejected, RoutedRequest
from fnkit.platform.data_plane.gateway.invocation import HttpInvocation
from fnkit.platform.data_plane.gateway.proxy import ESTABLISHED_RESPONSE, Tunnel
from fnkit.platform.data_plane.gateway.request import ClientRequest
from fnkit.platform.data_plane.gateway.response import encode_response
from fnkit.platform.peers import is_own_process

_SLOWEST_BODY: Final = 16 * 1024  # bytes per second, after the time for a request
_PARSED_AT_ONCE: Final = 16 * 1024  # bytes of a large read
_LINGER_SECONDS: Final = 2.0  # for the client to read its response before the socket is closed
_MAX_PIPELINED: Final = 16  # requests read ahead; each may hold a body in memory
_CONTINUE_RESPONSE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """An ``asyncio.Protocol`` that parses with llhttp and hands complete requests to the gateway one at a time.

    Further pipelined requests wait in ``_pipeline``. After ``_read_closed`` is set, input is ignored and the
    connection closes once the responses that are due have been written.

    Args:
        gateway: Routes and starts requests.
        is_private: Whether the connection came through the private Unix socket, whose requests need no token.
        scheme: ``https`` on a TLS transport.
    """

    def __init__(self, gateway: Gateway, *, is_private: bool, scheme: str = "http") -> None:
        self._scheme = scheme
        self._client_host = "127.0.0.1"
        self.invocation: HttpInvocation | None = None
        self._gateway = gateway
        self._is_private = is_private
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request = ClientRequest()
        self._in_head = True
        self._in_request = False
        self._request_began_at = 0.0  # time of the first byte of the request that is arriving
        self._head_bytes = 0
        self._framing_bytes = 0  # bytes received since the last byte of body content: chunk framing and trailers
        self._has_body_after_upgrade = False  # the request has an Upgrade header and a body, at which llhttp stops
        self._is_reparsing = False  # a second parser reads the body of the same request
        self._pipeline: deque[tuple[ClientRequest, RoutedRequest | Tunnel | MappedResponse]] = deque()
        self._current_request: ClientRequest | None = None
        self._read_closed = False  # input is ignored from here on
        self._is_read_paused = False
        self._unparsed = b""  # the rest of a large read
        self._is_write_paused = False  # the write buffer is above its high-water mark
        self._last_activity = self._loop.time()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not subclass it
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._client_host = str(peer[0])
        if self._is_private and not is_own_process(transport.get_extra_info("socket")):
            self._transport.abort()
            return
        self._gateway.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Abandon the current invocation; otherwise its instance would stay busy forever."""
        self._gateway.connections.discard(self)
        self._pipeline.clear()
        self._request = ClientRequest()  # the parser refers to this object, and it to the body that has arrived
        self._unparsed = b""
        self._read_closed = True
        invocation, self.invocation = self.invocation, None
        if invocation is not None:
            invocation.cancel()

    def pause_writing(self) -> None:
        """Stop reading the response of the instance until the client catches up."""
        self._is_write_paused = True
        if self.invocation is not None:
            self.invocation.pause()

    def resume_writing(self) -> None:
        """Continue with the response, or with the next request."""
        self._is_write_paused = False
        self._last_activity = self._loop.time()
        if self.invocation is not None:
            self.invocation.resume()
        self._start_next()

    def check_timeouts(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Close the connection if its client stalls within a request or is idle; return whether it did.

        The time counts from the first byte of a request. Otherwise a client that sends a byte now and then could
        hold the connection, and the memory of a body, forever (slowloris).

        Args:
            now: Time of the event loop.
            request_timeout: Seconds for a request, without those for its body at 16 KiB per second, and between two
                reads.
            idle_timeout: Seconds without a request, or without the client reading its response.
        """
        inactive = now - self._last_activity
        # While a request runs, or can start at once, the client waits for the gateway, not the other way round.
        if self._current_request is not None or (
            self._pipeline and self._pipeline[0][0].is_complete and not self._is_write_paused
        ):
            return False
        if self._in_request and not self._is_write_paused:
            body = self._request.body
            allowed = request_timeout + (body.size / _SLOWEST_BODY if body is not None else 0)
            is_late = inactive > request_timeout or now - self._request_began_at > allowed
            if is_late and not self._read_closed:
                self._fail_connection(json_message(408, "the request did not arrive in time"))
                return True
        elif inactive > idle_timeout and self._transport is not None:
            self._transport.abort()  # close() would first wait until the client reads what is buffered
            return True
        return False

    def close_when_idle(self) -> None:
        """Close now if no request is in progress; otherwise the gateway closes after the response."""
        if self._current_request is None and not self._pipeline:
            self.close()

    def close(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.close()

    # Requests

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, a large read in pieces, of which others need not wait for more than one.

        A read may bring 256 KiB, in which tens of thousands of chunks of a body fit. And libuv would read up to 32
        times before others get their turn.
        """
        if self._unparsed:
            self._unparsed += data
        elif len(data) > LARGE_BODY_BYTES and self._transport is not None:
            self._transport.pause_reading()
            self._unparsed = data
            self._parse_piece()
        else:
            self._parse(data)

    def _parse_piece(self) -> None:
        piece, self._unparsed = self._unparsed[:_PARSED_AT_ONCE], self._unparsed[_PARSED_AT_ONCE:]
        if piece:
            self._parse(piece)
            self._loop.call_soon(self._parse_piece)
        else:
            self._resume_reading()

    def _parse(self, data: bytes) -> None:
        """Feed the parser, and enforce the limits that it does not have.

        llhttp limits neither the size of a head nor that of chunk extensions and trailers. A head is counted here
        until it is complete. Framing is counted since the last body byte, so that a slow legitimate body in small
        chunks is not affected.
        """
        if self._read_closed:
            return
        self._last_activity = self._loop.time()
        if self._in_head:
            self._head_bytes += len(data)
        request, body = self._request, self._request.body
        size = body.size if body is not None else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._continue_after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._read_closed:
                self._fail_connection(json_message(400, _parse_error_message(error)))
        else:
            if self._in_head and self._head_bytes > HEAD_MAX_BYTES and not self._read_closed:
                self._fail_connection(json_message(431, f"the headers exceed {HEAD_MAX_BYTES} bytes"))
            elif not self._in_head and request is self._request:
                has_grown = request.body is not None and request.body.size > size
                self._framing_bytes = 0 if has_grown else self._framing_bytes + len(data)
                if self._framing_bytes > HEAD_MAX_BYTES and not self._read_closed:
                    self._fail_connection(json_message(400, "the chunk framing of the body is too long"))

    def _continue_after_upgrade(self, remaining: bytes) -> None:
        """Continue after an ``Upgrade`` header, which the gateway ignores as RFC 9110 section 7.8 permits.

        llhttp stops after the head of such a request, so a new parser is needed. A body would then be parsed as
        another request (request smuggling), so the new parser is first fed a head with the same framing.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self._has_body_after_upgrade and not self._read_closed:
            self._has_body_after_upgrade = False
            self._is_reparsing = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._request.framing_header)
        if remaining and not self._read_closed:
            self._parse(remaining)

    def on_message_begin(self) -> None:
        """Start a new request."""
        if self._is_reparsing:
            return
        self._request = ClientRequest(self._client_host, self._scheme)
        self._in_head = self._in_request = True
        self._request_began_at = self._last_activity
        self._framing_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Append a piece of the request target."""
        if not self._is_reparsing:
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
        if self._is_reparsing:
            self._is_reparsing = False
            return
        self._in_head = False
        self._head_bytes = 0
        if self._read_closed:
            return
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive() and not self._gateway.is_stopping
        try:
            self._check_head(request)
            target: RoutedRequest | Tunnel | MappedResponse
            if request.method != "CONNECT":
                target = self._gateway.route_request(request, is_private=self._is_private)
            else:
                # A rejected CONNECT closes the connection: the client may already have sent the first bytes of the
                # tunnel.
                request.keep_alive = False
                target = self._gateway.connect(request, is_private=self._is_private)
                request.keep_alive = True
        except RequestRejected as refused:
            target = refused.response
        if isinstance(target, MappedResponse):
            if request.has_body:
                self._fail_connection(target)
                return
        elif request.expects_continue and self._current_request is None and not self._pipeline:
            self.write(_CONTINUE_RESPONSE)
        self._has_body_after_upgrade = (
            bool(request.upgrade_protocol) and request.has_body and self._parser.should_upgrade()
        )
        self._pipeline.append((request, target))

    def _check_head(self, request: ClientRequest) -> None:
        """Reject a head that the gateway does not support.

        Each rejection closes the connection: what follows may be no request (frames of a WebSocket), or a proxy in
        front may divide it into requests differently (request smuggling).

        Raises:
            RequestRejected: The head is rejected.
        """
        # http.client and others send CONNECT as HTTP/1.0. The requests inside the tunnel are checked on their own.
        version = self._parser.get_http_version()
        if version == "1.0" and request.method != "CONNECT":
            problem = json_message(426, "HTTP/1.1 is required")
        elif version not in ("1.0", "1.1"):
            problem = json_message(400, "this is not an HTTP/1.1 request")
        elif request.head_bytes + len(request.target) > HEAD_MAX_BYTES:
            problem = json_message(431, f"the headers exceed {HEAD_MAX_BYTES} bytes")
        elif request.host_count != 1 and request.method != "CONNECT":
            problem = json_message(400, "a request must have exactly one Host header")
        elif not is_host(request.host):
            problem = json_message(400, "the Host header is not a name or address with an optional port")
        elif request.transfer_encoding not in (b"", b"chunked"):
            problem = json_message(501, "the only supported transfer encoding is chunked")
        elif request.upgrade_protocol == b"websocket":
            problem = json_message(400, "WebSockets are not supported by Serverless Functions")
        else:
            return
        request.keep_alive = False
        raise RequestRejected(problem)

    def on_body(self, data: bytes) -> None:
        """Append a piece of the body, within the limit."""
        request = self._request
        if self._read_closed:
            return
        if request.body is None:
            request.body = BodyBuffer(self._gateway.body_memory)
        try:
            request.body.append(data)
        except BodyMemoryExhausted:
            self._fail_connection(overload_response())
        else:
            if request.body.size > REQUEST_BODY_MAX_BYTES:
                self._fail_connection(json_message(413, f"the body exceeds {REQUEST_BODY_MAX_BYTES} bytes"))

    def on_message_complete(self) -> None:
        """Start the request if it is next; stop reading if the pipeline is full."""
        if self._has_body_after_upgrade:
            return  # llhttp reports the end at the Upgrade header; the second parser reports that of the body
        self._in_head = True
        self._in_request = False
        if self._read_closed:
            return
        self._request.is_complete = True
        if self._current_request is None and not self._is_write_paused:
            self._start_next()
        elif len(self._pipeline) >= _MAX_PIPELINED and self._transport is not None and not self._is_read_paused:
            self._is_read_paused = True
            self._transport.pause_reading()

    def _start_next(self) -> None:
        """Start the next complete request, unless earlier responses are still buffered.

        Without that condition a client that pipelines requests and never reads would fill the memory.
        """
        while (
            self._pipeline
            and self._pipeline[0][0].is_complete
            and self._current_request is None
            and not self._is_write_paused
            and self._is_open()
        ):
            request, target = self._pipeline.popleft()
            self._current_request = request
            if isinstance(target, RoutedRequest):
                self.invocation = self._gateway.create_invocation(request, target, self)
                self.invocation.start()
            elif isinstance(target, MappedResponse):
                self._respond_directly(request, target)
            else:
                self._open_tunnel(target)
        if self._is_read_paused and len(self._pipeline) < _MAX_PIPELINED and self._transport is not None:
            self._is_read_paused = False
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and self._is_open() and not self._is_read_paused and not self._unparsed:
            self._transport.resume_reading()

    def _respond_directly(self, request: ClientRequest, response: MappedResponse) -> None:
        if not self._is_private:
            self._gateway.metrics.responses[response.status] += 1
        self.write(encode_response(response, keep_alive=request.keep_alive, is_head=request.method == "HEAD"))
        self.end_response(complete=True)

    def _open_tunnel(self, tunnel: Tunnel) -> None:
        """Serve the tunnel: plain requests on this connection, or TLS with a new protocol on the same transport."""
        if not tunnel.is_tls:
            self.write(ESTABLISHED_RESPONSE)
            self.end_response(complete=True)
        elif self._transport is not None and self._gateway.connect_proxy is not None:
            gateway = self._gateway
            self._read_closed = True  # the bytes that follow are for the TLS protocol
            gateway.connections.discard(self)
            self._gateway.connect_proxy.serve_tls(
                self._transport, lambda: HttpConnection(gateway, is_private=False, scheme="https")
            )

    def _fail_connection(self, response: MappedResponse) -> None:
        """Send this error after the responses that are due, then close: the input cannot be parsed further."""
        self._read_closed = True
        if self._pipeline and not self._pipeline[-1][0].is_complete:
            self._pipeline.pop()  # its rest will not be read
            self._request.body = None
        request = ClientRequest()
        request.method = self._request.method
        request.keep_alive = False
        request.is_complete = True
        self._pipeline.append((request, response))
        if self._current_request is None:
            self._start_next()

    # Responses

    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write to the client; discard the data if the connection is closing, since uvloop raises then."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end_response(self, *, complete: bool) -> None:
        """End the current request: start the next one, or close the connection.

        Args:
            complete: Whether the response was written completely. If not, the connection is aborted, which is how
                the client notices (RFC 9112 section 8).
        """
        request, self._current_request = self._current_request, None
        self.invocation = None
        self._last_activity = self._loop.time()
        if not complete:
            if self._transport is not None:
                self._transport.abort()
        elif request is not None and not request.keep_alive:
            self._pipeline.clear()  # nothing may follow this response, not even an error
            self._close_after_linger()
        elif self._pipeline:
            self._loop.call_soon(self._start_next)  # not called directly: pipelined errors would recurse

    def _close_after_linger(self) -> None:
        """Close, with a delay if the client may still be sending.

        Closing a socket with unread input makes the kernel send RST, and the client may lose the response before it
        has read it (RFC 9112 section 9.6). So only the write side is closed first.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if self._read_closed and self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(_LINGER_SECONDS, self.close)
        else:
            self._transport.close()


def _parse_error_message(error: httptools.HttpParserError) -> str:
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return "the URL contains an invalid character: percent-encode it"
    return "this is not an HTTP/1.1 request"
