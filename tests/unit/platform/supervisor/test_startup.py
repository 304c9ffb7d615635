"""Ports: the requested one or an error that names it, else the default, else the next free one; then reserved."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.supervisor.startup import ReservedPorts

HOST = "127.0.0.1"
NONE: frozenset[int] = frozenset()


@pytest.fixture
def port_in_use() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def ports() -> Iterator[ReservedPorts]:
    reserved = ReservedPorts()
    yield reserved
    reserved.release()


@pytest.fixture
def others() -> Iterator[ReservedPorts]:
    """The ports of another platform."""
    reserved = ReservedPorts()
    yield reserved
    reserved.release()


def test_port_in_use_error_names_the_flag(ports: ReservedPorts, port_in_use: int) -> None:
    with pytest.raises(PlatformError) as raised:
        ports.reserve(HOST, port_in_use, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "port-in-use"
    assert str(port_in_use) in raised.value.message
    assert "--api-port" in (raised.value.hint or "")


def test_default_port_in_use_is_replaced_by_the_next_free_one(ports: ReservedPorts, port_in_use: int) -> None:
    assert ports.reserve(HOST, None, default=port_in_use, excluded=NONE, option="") > port_in_use


def test_port_excluded_for_another_listener_is_skipped(ports: ReservedPorts, port_in_use: int) -> None:
    assert (
        ports.reserve(HOST, None, default=port_in_use, excluded=frozenset({port_in_use + 1}), option="")
        > port_in_use + 1
    )


def test_port_zero_selects_any_free_port(ports: ReservedPorts) -> None:
    assert ports.reserve(HOST, 0, default=1, excluded=NONE, option="") > 0


def test_address_of_another_machine_is_rejected(ports: ReservedPorts) -> None:
    with pytest.raises(PlatformError) as raised:
        ports.reserve("192.0.2.1", 0, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "address-not-here"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot bind a reserved port again")
def test_reserved_port_is_unavailable_to_others_until_released(ports: ReservedPorts, others: ReservedPorts) -> None:
    chosen = ports.reserve(HOST, 0, default=1, excluded=NONE, option="")
    assert others.reserve(HOST, None, default=chosen, excluded=NONE, option="") > chosen
    with pytest.raises(PlatformError) as raised:
        others.reserve(HOST, chosen, default=1, excluded=NONE, option="--api-port")
    assert raised.value.code == "port-in-use"
    ports.release()
    assert others.reserve(HOST, chosen, default=1, excluded=NONE, option="") == chosen


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot bind a reserved port again")
def test_reserved_port_can_be_bound_repeatedly(ports: ReservedPorts) -> None:
    chosen = ports.reserve(HOST, 0, default=1, excluded=NONE, option="")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, chosen))
    for _ in range(2):
        with socket.create_server((HOST, chosen)), socket.create_connection((HOST, chosen)):
            pass
