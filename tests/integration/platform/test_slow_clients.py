"""Clients of the API that hold connections without sending a request do not keep others from being answered."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator

import pytest
import uvicorn

from fnkit.platform.control.api.http_protocol import ApiHttpProtocol
from tests.support.control_process import API, ControlProcess, running_control

pytestmark = pytest.mark.slow

HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
HEAD_OF_BODY = HALF_A_HEAD + b"Content-Length: 10\r\n\r\nabc"
WHOLE = HALF_A_HEAD + b"\r\n"


class ImpatientProtocol(ApiHttpProtocol):
    head_timeout = 0.2
    body_timeout = 0.2


async def echo_length(_scope: dict[str, object], receive: object, send: object) -> None:
    """Answer with the length of the body."""
    assert callable(receive)
    assert callable(send)
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


async def answer_to(sent: bytes) -> bytes:
    """Return everything that a server with short deadlines sends until it closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        echo_length, lifespan="off", log_config=None, http=ImpatientProtocol, timeout_keep_alive=1
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
        await server.shutdown(sockets=[listener])


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b"HTTP/1.1 408 "), (HALF_A_HEAD, b"HTTP/1.1 408 "), (HEAD_OF_BODY, b""), (WHOLE, b"HTTP/1.1 200 ")],
    ids=["nothing", "half a head", "half a body", "whole"],
)
def test_request_that_does_not_arrive_in_time_is_given_up(sent: bytes, answer: bytes) -> None:
    received = asyncio.run(answer_to(sent))
    assert received.startswith(answer)
    assert bool(received) == bool(answer)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HALF_A_HEAD, id="half a head"),
        pytest.param(b"", id="nothing", marks=pytest.mark.long),
        pytest.param(WHOLE, id="idle", marks=pytest.mark.long),
    ],
)
@pytest.mark.usefixtures("many_descriptors")
def test_api_answers_while_one_client_holds_more_connections_than_fit(control: ControlProcess, sent: bytes) -> None:
    address = ("127.0.0.1", control.settings.api_port)
    held = []
    try:
        for _ in range(ApiHttpProtocol.max_connections + 100):
            peer = socket.create_connection(address, timeout=10)
            held.append(peer)
            peer.sendall(sent)
        started = time.monotonic()
        control.request("GET", f"{API}/namespaces").ok()
        assert time.monotonic() - started < ApiHttpProtocol.head_timeout / 2
    finally:
        for peer in held:
            peer.close()


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    with running_control(tmp_path_factory.mktemp("slow")) as running:
        yield running
