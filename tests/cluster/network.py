"""The network of a cluster: a switch, a control plane and nodes, each in a network namespace of its own.

This machine is connected to the switch too, so that a platform and tests that run here reach pods, and nodes reach
the platform. Everything else of the machine's network stays as it is.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

__all__ = ["CONTROL_PLANE", "HOST_ADDRESS", "SERVER_ADDRESS", "Network", "node_address", "node_name", "pod_range"]

SERVER_ADDRESS: Final = "10.99.0.1"
"""The address of the API server."""
HOST_ADDRESS: Final = "10.99.0.254"
"""The address of this machine, as nodes and pods reach it."""
SERVICE_RANGE: Final = "10.96.0.0/16"
POD_RANGE: Final = "10.98.0.0/16"
CONTROL_PLANE: Final = "fnkit-control"
_SWITCH: Final = "fnkit-switch"
_BRIDGE: Final = "bridge"
_HOST_LINK: Final = "fnkit-host"


def node_name(number: int) -> str:
    """Return the name of a node, and of its network namespace."""
    return f"fnkit-node-{number}"


def node_address(number: int) -> str:
    """Return the address of a node."""
    return f"10.99.0.{10 + number}"


def pod_range(number: int) -> str:
    """Return the addresses of the pods on a node."""
    return f"10.98.{number}.0/24"


@dataclass
class Network:
    """The namespaces and links of a running cluster.

    Attributes:
        nodes: The numbers of the nodes that are connected, from 1.
    """

    nodes: tuple[int, ...] = ()

    def open(self) -> None:
        """Create the switch, the control plane's namespace and the link of this machine.

        Raises:
            subprocess.CalledProcessError: The kernel refuses it.
        """
        _ip("netns", "add", _SWITCH)
        _ip("-n", _SWITCH, "link", "add", _BRIDGE, "type", "bridge")
        _ip("-n", _SWITCH, "link", "set", _BRIDGE, "up")
        _ip("link", "add", _HOST_LINK, "type", "veth", "peer", "name", "to-host", "netns", _SWITCH)
        _ip("-n", _SWITCH, "link", "set", "to-host", "master", _BRIDGE, "up")
        _ip("address", "add", f"{HOST_ADDRESS}/24", "dev", _HOST_LINK)
        _ip("link", "set", _HOST_LINK, "up")
        self._connect(CONTROL_PLANE, SERVER_ADDRESS)

    def add_node(self, number: int) -> None:
        """Connect a node, and tell all others how to reach its pods."""
        name = node_name(number)
        self._connect(name, node_address(number))
        for other in self.nodes:
            _route(name, other)
            _route(node_name(other), number)
        for namespace in (CONTROL_PLANE, ""):
            _route(namespace, number)
        self.nodes = (*self.nodes, number)

    def remove_node(self, number: int) -> None:
        """Disconnect a node for good."""
        self.nodes = tuple(one for one in self.nodes if one != number)
        with suppress(subprocess.CalledProcessError):
            _ip("route", "del", pod_range(number))
        for name in (CONTROL_PLANE, *map(node_name, self.nodes)):
            with suppress(subprocess.CalledProcessError):
                _ip("-n", name, "route", "del", pod_range(number))
        _ip("netns", "del", node_name(number))

    def set_link(self, number: int, *, is_up: bool) -> None:
        """Connect or cut off a node."""
        _ip("-n", _SWITCH, "link", "set", _port(node_name(number)), "up" if is_up else "down")

    def close(self) -> None:
        """Remove everything. What does not exist is no error: a start may have failed halfway."""
        for name in (*map(node_name, range(1, 10)), CONTROL_PLANE, _SWITCH):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", name)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", _HOST_LINK)
        self.nodes = ()

    def _connect(self, name: str, address: str) -> None:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", _SWITCH, "link", "add", _port(name), "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", _SWITCH, "link", "set", _port(name), "master", _BRIDGE, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        # kube-proxy replaces the addresses of services, but only of packets that have a route.
        _ip("-n", name, "route", "add", SERVICE_RANGE, "dev", "eth0")
        for setting in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1"):
            _run("nsenter", f"--net=/run/netns/{name}", "sysctl", "-qw", setting)


def _route(namespace: str, number: int) -> None:
    _ip(*(("-n", namespace) if namespace else ()), "route", "add", pod_range(number), "via", node_address(number))


def _port(name: str) -> str:
    """Return the name of the switch's end of a link, which has 15 characters at most."""
    return f"to-{name.removeprefix('fnkit-')}"[:15]


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
