"""Ports: the requested one or an error that names it, else the default, else the next free one; then held."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.listening_sockets import ListenError, inherit, listen
from fnkit.platform.supervisor.startup import PlatformPorts, choose_port

HOST = "127.0.0.1"
NONE: frozenset[int] = frozenset()


@pytest.fixture
def port_in_use() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def ports() -> Iterator[PlatformPorts]:
    held = PlatformPorts()
    yield held
    held.release()


@pytest.fixture
def others() -> Iterator[PlatformPorts]:
    """The ports of another platform."""
    held = PlatformPorts()
    yield held
    held.release()


def ways(held: PlatformPorts, host: str = HOST) -> dict[str, Callable[[int], int]]:
    """Both ways to take a port."""
    return {"listen": partial(held.listen, "api_port", host), "reserve": partial(held.reserve, host)}


BOTH = pytest.mark.parametrize("way", ["listen", "reserve"])


@BOTH
def test_port_in_use_error_names_the_flag(ports: PlatformPorts, port_in_use: int, way: str) -> None:
    with pytest.raises(PlatformError) as raised:
        choose_port(ways(ports)[way], port_in_use, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "port-in-use"
    assert str(port_in_use) in raised.value.message
    assert "--api-port" in (raised.value.hint or "")


@BOTH
def test_default_port_in_use_is_replaced_by_the_next_free_one(
    ports: PlatformPorts, port_in_use: int, way: str
) -> None:
    assert choose_port(ways(ports)[way], None, default=port_in_use, excluded=NONE, option="") > port_in_use


@BOTH
def test_port_excluded_for_another_listener_is_skipped(ports: PlatformPorts, port_in_use: int, way: str) -> None:
    excluded = frozenset({port_in_use + 1})
    chosen = choose_port(ways(ports)[way], None, default=port_in_use, excluded=excluded, option="")
    assert chosen > port_in_use + 1


@BOTH
def test_port_zero_selects_any_free_port(ports: PlatformPorts, way: str) -> None:
    assert choose_port(ways(ports)[way], 0, default=1, excluded=NONE, option="") > 0


@BOTH
def test_address_of_another_machine_is_rejected(ports: PlatformPorts, way: str) -> None:
    with pytest.raises(PlatformError) as raised:
        choose_port(ways(ports, "192.0.2.1")[way], 0, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "address-not-here"


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot bind a reserved port again")
def test_held_port_is_unavailable_to_others_until_released(
    ports: PlatformPorts, others: PlatformPorts, way: str
) -> None:
    chosen = ways(ports)[way](0)
    assert choose_port(ways(others)[way], None, default=chosen, excluded=NONE, option="") > chosen
    with pytest.raises(PlatformError) as raised:
        choose_port(ways(others)[way], chosen, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "port-in-use"
    ports.release()
    others.release()
    assert ways(others)[way](chosen) == chosen


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot bind a reserved port again")
@pytest.mark.parametrize(("first", "second"), [("reserve", "listen"), ("listen", "reserve")])
def test_port_held_in_one_way_is_unavailable_to_others_in_the_other(
    ports: PlatformPorts, others: PlatformPorts, first: str, second: str
) -> None:
    chosen = ways(ports)[first](0)
    with pytest.raises(ListenError):
        ways(others)[second](chosen)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot bind a reserved port again")
def test_reserved_port_can_be_bound_repeatedly(ports: PlatformPorts) -> None:
    chosen = ports.reserve(HOST, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, chosen))
    for _ in range(2):
        with socket.create_server((HOST, chosen)), socket.create_connection((HOST, chosen)):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_port_that_is_listened_on_can_be_taken_at_no_loopback_address(ports: PlatformPorts, host: str) -> None:
    chosen = ports.listen("api_port", host, 0)
    for address in ("127.0.0.1", "0.0.0.0", "::1", "::"):
        assert is_taken(address, chosen)


def is_taken(address: str, port: int) -> bool:
    """Return whether another program cannot listen there, with the option that allows the most."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            taker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            taker.bind((address, port))
            taker.listen()
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def test_accepted_connections_send_small_packets_at_once() -> None:
    [listener, *_] = sockets = listen(HOST, 0)
    assert listener.proto == socket.IPPROTO_TCP  # asyncio then sets TCP_NODELAY
    for one in sockets:
        one.close()


def test_error_names_the_place() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1 port 80") as raised:
        listen("192.0.2.1", 80)
    assert (raised.value.host, raised.value.port) == ("192.0.2.1", 80)


def test_inherited_sockets_are_closed_to_further_processes() -> None:
    sockets = listen(HOST, 0)
    for one in sockets:
        one.set_inheritable(True)
    inherited = inherit([one.detach() for one in sockets])
    assert [one.get_inheritable() for one in inherited] == [False] * len(inherited)
    assert [one.getsockname()[1] for one in inherited] == [inherited[0].getsockname()[1]] * len(inherited)
    for one in inherited:
        one.close()
