"""The gateway: routes requests and deliveries to functions, authorizes them, and starts their invocations.

It also answers what needs no function: health and metrics on the private socket, redirects to HTTPS, and the
responses that Scaleway's core runtime generates itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from fnkit.contract.invocation import MappedResponse, decode_path, immediate_response
from fnkit.contract.limits import PAYLOAD_MAX_BYTES
from fnkit.platform.delivery_frames import DeliveryResponse, DeliveryRequest
from fnkit.platform.engine.contract import Engine
from fnkit.platform.gateway.access import Authorizer
from fnkit.platform.gateway.delivered import DeliveryInvocation
from fnkit.platform.gateway.delivery_requests import DELIVERY_CLIENT_HOST, InvocationTemplates, build_http_request
from fnkit.platform.gateway.exchange import HttpInvocation
from fnkit.platform.gateway.measuring import GatewayMetrics
from fnkit.platform.gateway.redirects import redirect_response
from fnkit.platform.gateway.requests import ClientRequest, encode_invocation, new_request_id
from fnkit.platform.gateway.responses import json_message, render_immediate_response
from fnkit.platform.gateway.table import Router
from fnkit.platform.gateway.tracing import Trace, Tracer, propagate
from fnkit.platform.gateway.tunnels import Tunnel, ConnectProxy
from fnkit.platform.measurements import METRICS_PATH
from fnkit.platform.routing import Route

if TYPE_CHECKING:
    from fnkit.platform.gateway.connection import HttpConnection

__all__ = ["GatewayConnection", "Gateway", "RequestRejected", "RoutedRequest"]

_HEALTH_PATH: Final = "/healthz"
_REQUEST_TIMEOUT: Final = 60.0  # the ReadHeaderTimeout of Scaleway's core runtime
_IDLE_TIMEOUT: Final = 300.0
_REAP_INTERVAL: Final = 5.0
_MAX_ECHO: Final = 300  # characters of the client's input that an error message repeats


class GatewayConnection(Protocol):
    """An open connection of the gateway."""

    def check_timeouts(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Close if the client stalls within a request or is idle for too long; return whether it did."""

    def close_when_idle(self) -> None:
        """Close as soon as no request is in progress."""

    def close(self) -> None:
        """Close now."""


class RequestRejected(Exception):
    """The request gets this response without running a handler."""

    def __init__(self, response: MappedResponse) -> None:
        super().__init__(response.status)
        self.response = response


class RoutedRequest:
    """The deployment for a request, and the path and query that its handler gets."""

    __slots__ = ("path", "query", "route")

    def __init__(self, route: Route, path: str, query: str) -> None:
        self.route = route
        self.path = path
        self.query = query


class Gateway:
    """Routes requests to functions. Lives on one event loop.

    Attributes:
        tracer: Set if traces are exported.
        has_snapshot: Set once the routes are known. Until then requests without a route get 503 instead of 404.
        is_healthy: Set once every function has its ``min_scale`` instances.
        is_stopping: Set by ``stop_serving``.
        tls_port: The TLS port, 0 without one.
        connect_proxy: Resolves CONNECT requests, if enabled.
        connections: The open connections, which register themselves.
    """

    def __init__(self, engine: Engine, router: Router, authorizer: Authorizer) -> None:
        self.engine = engine
        self.router = router
        self.authorizer = authorizer
        self.metrics = GatewayMetrics(engine)
        self._invocation_templates = InvocationTemplates()
        self.tracer: Tracer | None = None
        self.has_snapshot = False
        self.is_healthy = False
        self.is_stopping = False
        self.tls_port = 0
        self.connect_proxy: ConnectProxy | None = None
        self.connections: set[GatewayConnection] = set()
        self._loop = asyncio.get_running_loop()
        self._reap_timer = self._loop.call_later(_REAP_INTERVAL, self._reap_connections)

    def route_request(self, request: ClientRequest, *, is_private: bool, scheme: str = "http") -> RoutedRequest:
        """Return the deployment for a request that needs no redirect, is authorized and has a valid path.

        Args:
            request: A request whose head is complete.
            is_private: Whether it came through the private socket, and needs no token.
            scheme: ``http`` or ``https``.

        Raises:
            Refused: The request gets a response of the gateway.
        """
        raw, _, query = request.target.partition(b"?")
        if not raw.startswith(b"/"):
            raw = self._strip_absolute_form(request, raw)
        path_text = raw.decode("latin-1")
        route = self.router.find_by_host(request.host)
        if route is None:
            route, path_text = self._route_by_path(request, path_text, is_private=is_private)
        if not is_private:
            if route.http_option == "redirected" and scheme == "http" and self.tls_port:
                raise RequestRejected(redirect_response(request, self.tls_port))
            if (denial := self.authorizer.denial_reason(route, request.token)) is not None:
                raise RequestRejected(json_message(403, denial))
        try:
            path = decode_path(path_text)
        except ValueError:
            raise RequestRejected(json_message(400, "the path has an invalid percent-escape")) from None
        own = immediate_response(
            path,
            request.content_length,
            request.trigger_type.decode("latin-1"),
            route.environment.get("SCW_ALLOW_FAVICON", ""),
        )
        if own is not None:
            raise RequestRejected(render_immediate_response(own))
        return RoutedRequest(route, path, query.decode("latin-1"))

    def _route_by_path(self, request: ClientRequest, path: str, *, is_private: bool) -> tuple[Route, str]:
        """Return the deployment that the path names, and the rest of the path. Raises ``Refused``."""
        if is_private and path == _HEALTH_PATH:
            raise RequestRejected(self._health_response())
        if is_private and path == METRICS_PATH:
            raise RequestRejected(self.metrics.metrics_response(len(self.connections)))
        if not self.has_snapshot:
            raise RequestRejected(json_message(503, "the platform is starting"))
        found = self.router.find_by_path(request.host, path)
        if found is None:
            raise RequestRejected(json_message(404, self._not_found_message(request, path)))
        return found

    def _not_found_message(self, request: ClientRequest, path: str) -> str:
        if self.router.is_gateway_host(request.host):
            return f"no function answers at {path[:_MAX_ECHO]}: functions are at /<region>/<namespace>/<function>/"
        host = request.host[:_MAX_ECHO].decode("latin-1") or "(none)"
        return f"no function answers for {host}"

    @staticmethod
    def _strip_absolute_form(request: ClientRequest, target: bytes) -> bytes:
        """Move the host of an absolute-form target (``GET http://host/path``) to the request and return the path.

        Clients that use the gateway as an HTTP proxy send this form; its host overrides the Host header (RFC 9112
        section 3.2.2).
        """
        scheme, separator, rest = target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            if target == b"*":
                return b"/"
            raise RequestRejected(json_message(400, "the request target is not a path"))
        host, _, path = rest.partition(b"/")
        request.host = host
        return b"/" + path

    def connect(self, request: ClientRequest, *, is_private: bool) -> Tunnel:
        """Return the tunnel for a CONNECT request. Raises ``Refused``."""
        if is_private or self.connect_proxy is None:
            raise RequestRejected(json_message(405, "CONNECT is not supported"))
        if not self.has_snapshot:
            raise RequestRejected(json_message(503, "the platform is starting"))
        found = self.connect_proxy.resolve(request.target)
        if isinstance(found, MappedResponse):
            raise RequestRejected(found)
        return found

    def _health_response(self) -> MappedResponse:
        if self.is_healthy and not self.is_stopping:
            return json_message(200, "healthy")
        return json_message(503, "stopping" if self.is_stopping else "starting")

    def start_invocation(
        self, request: ClientRequest, routed: RoutedRequest, connection: HttpConnection
    ) -> HttpInvocation:
        """Start the invocation for a complete request."""
        route = routed.route
        request_id = request.resolve_request_id()
        payload, trace = self._encode_request(
            request, routed, request_id, connection.client_host, connection.scheme
        )
        invocation = HttpInvocation(
            self.engine,
            self.engine.counters.get_or_create(route),
            connection,
            payload,
            is_head_request=request.method == "HEAD",
            keep_alive=request.keep_alive,
            trace=trace,
        )
        connection.invocation = invocation
        invocation.start(route.function_id, request_id)
        return invocation

    def create_delivery(
        self, delivery: DeliveryRequest, on_done: Callable[[DeliveryResponse], None]
    ) -> DeliveryInvocation:
        """Create the invocation for a message; the caller starts it.

        Args:
            delivery: The message.
            on_done: Called once with the outcome, unless the invocation is cancelled.

        Raises:
            Refused: No function has this host name, or the message is too large.
        """
        route, trace = self.router.find_by_host(delivery.host), None
        request_id = new_request_id()
        if route is None or self.tracer is not None or len(delivery.body) > PAYLOAD_MAX_BYTES:
            # The general path: it creates the error response and adds trace headers, which the template cannot.
            request = build_http_request(delivery)
            routed = self.route_request(request, is_private=True)
            route = routed.route
            payload, trace = self._encode_request(request, routed, request_id, DELIVERY_CLIENT_HOST, "http")
        else:
            payload = self._invocation_templates.encode(route, delivery, request_id)
        return DeliveryInvocation(
            self.engine,
            self.engine.counters.get_or_create(route),
            route.function_id,
            request_id,
            payload,
            on_done,
            trace,
        )

    def _encode_request(
        self, request: ClientRequest, routed: RoutedRequest, request_id: str, client_host: str, scheme: str
    ) -> tuple[bytes, Trace | None]:
        """Return the encoded event and context, and the trace if it is recorded."""
        route = routed.route
        hide = request.token is not None and (
            route.privacy == "private" or any(map(self.authorizer.is_api_key, request.credentials))
        )
        trace: Trace | None = None
        if self.tracer is not None:
            trace = self.tracer.start_trace(request, route, request_id, client_host=client_host, scheme=scheme)
        elif request.has_trace_headers:
            propagate(request)
        payload = encode_invocation(
            request,
            route,
            routed.path,
            routed.query,
            request_id=request_id,
            client_host=client_host,
            hide_credentials=hide,
            scheme=scheme,
        )
        return payload, trace

    def _reap_connections(self) -> None:
        """Close connections whose client stalls or is idle."""
        now = self._loop.time()
        for connection in list(self.connections):
            connection.check_timeouts(now, request_timeout=_REQUEST_TIMEOUT, idle_timeout=_IDLE_TIMEOUT)
        self._reap_timer = self._loop.call_later(_REAP_INTERVAL, self._reap_connections)

    def stop_serving(self) -> None:
        """Stop serving: close idle connections now, the others after their current response."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.close_when_idle()

    def close(self) -> None:
        """Close every connection."""
        self._reap_timer.cancel()
        if self.connect_proxy is not None:
            self.connect_proxy.close()
        for connection in list(self.connections):
            connection.close()
