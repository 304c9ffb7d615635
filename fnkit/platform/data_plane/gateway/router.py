"""Routing of requests to deployments: by host name, or by path at the gateway's own address."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

import msgspec

from fnkit.platform.model.routing import Route

_PREFIX_PARTS: Final = 3  # /<region>/<namespace>/<function>


def _normalize_host(host: bytes) -> str:
    """Return the host name in a Host header: lower-case, without port and trailing dot."""
    name = host.decode("latin-1").lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


class Router:
    """Finds the deployment for a Host header or for a path ``/<region>/<namespace>/<function>``.

    Args:
        gateway_hosts: Host names of the gateway, beside ``localhost``, this machine's name and any IP address.
    """

    def __init__(self, gateway_hosts: Iterable[str] = ()) -> None:
        self._routes: dict[str, Route] = {}
        self._route_by_host: dict[str, Route] = {}
        self._route_by_prefix: dict[str, Route] = {}
        self._routes_with_prefix: dict[str, list[Route]] = {}
        self._gateway_hosts = {"localhost", socket.gethostname().lower(), *gateway_hosts}

    def __len__(self) -> int:
        return len(self._routes)

    def put(self, route: Route) -> None:
        """Route to this deployment instead of an earlier one of the same function."""
        self.remove(route.function_id)
        self._routes[route.function_id] = route
        for host in route.hosts:
            self._route_by_host[host] = route
        self._routes_with_prefix.setdefault(route.path_prefix, []).append(route)
        self._assign_prefix(route.path_prefix)

    def set_hosts(self, function_id: str, hosts: tuple[str, ...]) -> None:
        """Replace the host names of a function; do nothing if it has no route."""
        if (route := self._routes.get(function_id)) is not None:
            self.put(msgspec.structs.replace(route, hosts=hosts))

    def remove(self, function_id: str) -> None:
        """Remove the route of a function, if it has one."""
        route = self._routes.pop(function_id, None)
        if route is None:
            return
        # A name may have moved to another function already, whose entry must stay.
        for host in route.hosts:
            if self._route_by_host.get(host) is route:
                del self._route_by_host[host]
        self._routes_with_prefix[route.path_prefix].remove(route)
        self._assign_prefix(route.path_prefix)

    def _assign_prefix(self, prefix: str) -> None:
        """Give a path to the oldest of the functions that have it.

        Functions of different projects can have the same region, namespace and name. A newer one must not take over
        the address, with the tokens that callers of the older one send.
        """
        if routes := self._routes_with_prefix[prefix]:
            self._route_by_prefix[prefix] = min(routes, key=lambda route: (route.created_at, route.function_id))
        else:
            del self._routes_with_prefix[prefix]
            self._route_by_prefix.pop(prefix, None)

    def find_by_host(self, host: bytes) -> Route | None:
        """Return the deployment for a Host header, if any."""
        return self._route_by_host.get(_normalize_host(host))

    def find_by_path(self, host: bytes, path: str) -> tuple[Route, str] | None:
        """Return the deployment for a path at the gateway's own host, and the path without its prefix."""
        if not self.is_gateway_host(host):
            return None
        parts = path.split("/", _PREFIX_PARTS + 1)
        route = self._route_by_prefix.get("/".join(parts[: _PREFIX_PARTS + 1]))
        if route is None:
            return None
        return route, "/" + (parts[_PREFIX_PARTS + 1] if len(parts) > _PREFIX_PARTS + 1 else "")

    def is_gateway_host(self, host: bytes) -> bool:
        """Return whether this Host header names the gateway itself."""
        name = _normalize_host(host)
        if name in self._gateway_hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
