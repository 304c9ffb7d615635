"""The gateway: routes requests and deliveries to functions, authorizes them, and starts their invocations.

It also answers what needs no function: health and metrics on the private socket, redirects to HTTPS, and the
responses that Scaleway's core runtime generates itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from fnkit.contract.invocation import MappedResponse, decode_path, refusal
from fnkit.contract.limits import PAYLOAD_MAX_BYTES
from fnkit.platform.delivery_frames import Answer, Post
from fnkit.platform.engine.contract import Engine
from fnkit.platform.gateway.access import Access
from fnkit.platform.gateway.delivered import Delivered
from fnkit.platform.gateway.delivery_requests import PEER, DeliveryForms, delivery_request
from fnkit.platform.gateway.exchange import Exchange
from fnkit.platform.gateway.measuring import GatewayMeter
from fnkit.platform.gateway.redirects import redirect_response
from fnkit.platform.gateway.requests import ClientRequest, envelope, new_request_id
from fnkit.platform.gateway.responses import message_response, refusal_response
from fnkit.platform.gateway.table import RoutingTable
from fnkit.platform.gateway.tracing import Trace, Tracer, pass_on
from fnkit.platform.gateway.tunnels import Tunnel, Tunnels
from fnkit.platform.measurements import METRICS_PATH
from fnkit.platform.routing import Route

if TYPE_CHECKING:
    from fnkit.platform.gateway.connection import ClientConnection

__all__ = ["Connection", "Gateway", "Refused", "Target"]

_HEALTH: Final = "/healthz"
_STALLED_SECONDS: Final = 60.0  # the ReadHeaderTimeout of Scaleway's core runtime
_IDLE_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 5.0
_SHOWN: Final = 300  # characters of the client's input that an error message repeats


class Connection(Protocol):
    """An open connection of the gateway."""

    def look(self, now: float, *, request_timeout: float, idle_timeout: float) -> bool:
        """Close if the client stalls within a request or is idle for too long; return whether it did."""

    def stop(self) -> None:
        """Close as soon as no request is in progress."""

    def abort(self) -> None:
        """Close now."""


class Refused(Exception):
    """The request gets this response without running a handler."""

    def __init__(self, response: MappedResponse) -> None:
        super().__init__(response.status)
        self.response = response


class Target:
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

    def __init__(self, engine: Engine, table: RoutingTable, access: Access) -> None:
        self.engine = engine
        self.table = table
        self.access = access
        self.meter = GatewayMeter(engine)
        self._forms = DeliveryForms()
        self.tracer: Tracer | None = None
        self.has_snapshot = False
        self.is_healthy = False
        self.is_stopping = False
        self.tls_port = 0
        self.tunnels: Tunnels | None = None
        self.connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)

    def target(self, request: ClientRequest, *, is_private: bool, scheme: str = "http") -> Target:
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
            raw = self._absolute(request, raw)
        path_text = raw.decode("latin-1")
        route = self.table.by_host(request.host)
        if route is None:
            route, path_text = self._by_path(request, path_text, private=is_private)
        if not is_private:
            if route.http_option == "redirected" and scheme == "http" and self.tls_port:
                raise Refused(redirect_response(request, self.tls_port))
            if (denial := self.access.denial(route, request.token)) is not None:
                raise Refused(message_response(403, denial))
        try:
            path = decode_path(path_text)
        except ValueError:
            raise Refused(message_response(400, "the path has an invalid percent-escape")) from None
        own = refusal(
            path,
            request.declared,
            request.trigger_type.decode("latin-1"),
            route.environment.get("SCW_ALLOW_FAVICON", ""),
        )
        if own is not None:
            raise Refused(refusal_response(own))
        return Target(route, path, query.decode("latin-1"))

    def _by_path(self, request: ClientRequest, path: str, *, private: bool) -> tuple[Route, str]:
        """Return the deployment that the path names, and the rest of the path. Raises ``Refused``."""
        if private and path == _HEALTH:
            raise Refused(self._health())
        if private and path == METRICS_PATH:
            raise Refused(self.meter.response(len(self.connections)))
        if not self.has_snapshot:
            raise Refused(message_response(503, "the platform is starting"))
        found = self.table.by_path(request.host, path)
        if found is None:
            raise Refused(message_response(404, self._nobody(request, path)))
        return found

    def _nobody(self, request: ClientRequest, path: str) -> str:
        if self.table.is_own(request.host):
            return f"no function answers at {path[:_SHOWN]}: functions are at /<region>/<namespace>/<function>/"
        host = request.host[:_SHOWN].decode("latin-1") or "(none)"
        return f"no function answers for {host}"

    @staticmethod
    def _absolute(request: ClientRequest, raw: bytes) -> bytes:
        """Move the host of an absolute-form target (``GET http://host/path``) to the request and return the path.

        Clients that use the gateway as an HTTP proxy send this form; its host overrides the Host header (RFC 9112
        section 3.2.2).
        """
        scheme, separator, rest = raw.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            if raw == b"*":
                return b"/"
            raise Refused(message_response(400, "the request target is not a path"))
        host, _, path = rest.partition(b"/")
        request.host = host
        return b"/" + path

    def tunnel(self, request: ClientRequest, *, private: bool) -> Tunnel:
        """Return the tunnel for a CONNECT request. Raises ``Refused``."""
        if private or self.tunnels is None:
            raise Refused(message_response(405, "CONNECT is not supported"))
        if not self.has_snapshot:
            raise Refused(message_response(503, "the platform is starting"))
        found = self.tunnels.decide(request.target)
        if isinstance(found, MappedResponse):
            raise Refused(found)
        return found

    def _health(self) -> MappedResponse:
        if self.is_healthy and not self.is_stopping:
            return message_response(200, "healthy")
        return message_response(503, "stopping" if self.is_stopping else "starting")

    def start(self, request: ClientRequest, target: Target, connection: ClientConnection) -> Exchange:
        """Start the invocation for a complete request."""
        route = target.route
        request_id = request.identify()
        payload, trace = self._prepared(request, target, request_id, connection.peer, connection.scheme)
        invocation = Exchange(
            self.engine,
            self.engine.meters.of(route),
            connection,
            payload,
            is_head=request.method == "HEAD",
            keep_alive=request.keep_alive,
            trace=trace,
        )
        connection.exchange = invocation
        invocation.start(route.function_id, request_id)
        return invocation

    def delivery(self, delivery: Post, on_done: Callable[[Answer], None]) -> Delivered:
        """Create the invocation for a message; the caller starts it.

        Args:
            delivery: The message.
            on_done: Called once with the outcome, unless the invocation is cancelled.

        Raises:
            Refused: No function has this host name, or the message is too large.
        """
        route, trace = self.table.by_host(delivery.host), None
        request_id = new_request_id()
        if route is None or self.tracer is not None or len(delivery.body) > PAYLOAD_MAX_BYTES:
            # The general path: it creates the error response and adds trace headers, which the template cannot.
            request = delivery_request(delivery)
            routed = self.target(request, is_private=True)
            route = routed.route
            payload, trace = self._prepared(request, routed, request_id, PEER, "http")
        else:
            payload = self._forms.envelope(route, delivery, request_id)
        return Delivered(
            self.engine, self.engine.meters.of(route), route.function_id, request_id, payload, on_done, trace
        )

    def _prepared(
        self, request: ClientRequest, target: Target, request_id: str, peer: str, scheme: str
    ) -> tuple[bytes, Trace | None]:
        """Return the encoded event and context, and the trace if it is recorded."""
        route = target.route
        hide = request.token is not None and (
            route.privacy == "private" or any(map(self.access.is_secret_key, request.credentials))
        )
        trace: Trace | None = None
        if self.tracer is not None:
            trace = self.tracer.begin(request, route, request_id, peer=peer, scheme=scheme)
        elif request.is_traced:
            pass_on(request)
        payload = envelope(
            request,
            route,
            target.path,
            target.query,
            request_id=request_id,
            client_host=peer,
            hide_credentials=hide,
            scheme=scheme,
        )
        return payload, trace

    def _look(self) -> None:
        """Close connections whose client stalls or is idle."""
        now = self._loop.time()
        for connection in list(self.connections):
            connection.look(now, request_timeout=_STALLED_SECONDS, idle_timeout=_IDLE_SECONDS)
        self._watch = self._loop.call_later(_LOOK_SECONDS, self._look)

    def stop(self) -> None:
        """Stop serving: close idle connections now, the others after their current response."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.stop()

    def close(self) -> None:
        """Close every connection."""
        self._watch.cancel()
        if self.tunnels is not None:
            self.tunnels.close()
        for connection in list(self.connections):
            connection.abort()
