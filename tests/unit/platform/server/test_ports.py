"""Ports: the one asked for or an error that names it, else the usual one, else the next free one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.server.ports import choose_port

HOST = "127.0.0.1"


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_with_its_flag(busy: int) -> None:
    with pytest.raises(PlatformError) as caught:
        choose_port(HOST, busy, usual=1, taken=frozenset(), flag="--api-port")
    assert caught.value.code == "port-in-use"
    assert str(busy) in caught.value.message
    assert "--api-port" in (caught.value.hint or "")


def test_the_usual_port_gives_way_to_the_next_free_one(busy: int) -> None:
    assert choose_port(HOST, None, usual=busy, taken=frozenset(), flag="") > busy


def test_the_usual_port_is_taken_when_it_is_free(busy: int) -> None:
    free = choose_port(HOST, 0, usual=busy, taken=frozenset(), flag="")
    assert choose_port(HOST, None, usual=free, taken=frozenset(), flag="") == free
    assert choose_port(HOST, None, usual=free, taken=frozenset({free}), flag="") > free


def test_zero_is_any_free_port() -> None:
    assert choose_port(HOST, 0, usual=1, taken=frozenset(), flag="") > 0


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PlatformError) as caught:
        choose_port("192.0.2.1", 0, usual=1, taken=frozenset(), flag="--api-port")
    assert caught.value.code == "address-not-here"
