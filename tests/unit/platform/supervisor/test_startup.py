"""Ports: the one asked for or an error that names it, else the usual one, else the next free one; and kept."""

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
def busy() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def ports() -> Iterator[ReservedPorts]:
    held = ReservedPorts()
    yield held
    held.release()


@pytest.fixture
def others() -> Iterator[ReservedPorts]:
    """Another platform's."""
    held = ReservedPorts()
    yield held
    held.release()


def test_a_port_in_use_is_named_with_its_flag(ports: ReservedPorts, busy: int) -> None:
    with pytest.raises(PlatformError) as caught:
        ports.reserve(HOST, busy, default=1, excluded=NONE, option="--api-port")
    assert caught.value.code == "port-in-use"
    assert str(busy) in caught.value.message
    assert "--api-port" in (caught.value.hint or "")


def test_the_usual_port_gives_way_to_the_next_free_one(ports: ReservedPorts, busy: int) -> None:
    assert ports.reserve(HOST, None, default=busy, excluded=NONE, option="") > busy


def test_a_port_that_is_meant_for_another_door_gives_way_too(ports: ReservedPorts, busy: int) -> None:
    assert ports.reserve(HOST, None, default=busy, excluded=frozenset({busy + 1}), option="") > busy + 1


def test_zero_is_any_free_port(ports: ReservedPorts) -> None:
    assert ports.reserve(HOST, 0, default=1, excluded=NONE, option="") > 0


def test_an_address_of_another_machine_is_refused(ports: ReservedPorts) -> None:
    with pytest.raises(PlatformError) as caught:
        ports.reserve("192.0.2.1", 0, default=1, excluded=NONE, option="--api-port")
    assert caught.value.code == "address-not-here"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be bound a second time")
def test_what_one_platform_chose_no_other_takes_until_it_is_released(
    ports: ReservedPorts, others: ReservedPorts
) -> None:
    chosen = ports.reserve(HOST, 0, default=1, excluded=NONE, option="")
    assert others.reserve(HOST, None, default=chosen, excluded=NONE, option="") > chosen
    with pytest.raises(PlatformError) as caught:
        others.reserve(HOST, chosen, default=1, excluded=NONE, option="--api-port")
    assert caught.value.code == "port-in-use"
    ports.release()
    assert others.reserve(HOST, chosen, default=1, excluded=NONE, option="") == chosen


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be bound a second time")
def test_a_held_port_is_open_to_our_own_processes_again_and_again(ports: ReservedPorts) -> None:
    chosen = ports.reserve(HOST, 0, default=1, excluded=NONE, option="")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, chosen))
    for _ in range(2):
        with socket.create_server((HOST, chosen)), socket.create_connection((HOST, chosen)):
            pass
