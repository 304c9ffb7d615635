"""The API client against servers that never finish a response, send too much, or lead elsewhere."""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
import urllib3

from fnkit.client import Endpoint, FunctionsApi
from fnkit.client.bounded_responses import BoundedAdapter, BoundedRetry, read_body
from fnkit.client.transport import Transport
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Cron, Function
from fnkit.errors import ApiUnreachable, InvokeError
from fnkit.invoke.model import InvocationRequest
from fnkit.invoke.remote import invoke_remote
from tests.support.certificates import CertificateAuthority
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server
from tests.support.waiting import DEADLINE

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\n"
_LENGTH = b"Content-Length: 99999999999\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_RESPONSE_SECONDS = 0.6
FUNCTION = Function(
    id="f",
    name="f",
    namespace_id="n",
    status="ready",
    environment_variables={},
    min_scale=0,
    max_scale=1,
    runtime="python311",
    memory_limit=128,
    cpu_limit=70,
    timeout="300s",
    handler="handler.handle",
    privacy="public",
    domain_name="f.test",
    secret_environment_variables=[],
    http_option="enabled",
    sandbox="v2",
    tags=[],
    region="fr-par",
)


def endpoint_at(url: str) -> Endpoint:
    return Endpoint(api_url=url, secret_key="k", project_id="p", region="fr-par", key_origin="SCW_SECRET_KEY")


@contextmanager
def raw_server(
    answer: Callable[[socket.socket, threading.Event], None], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Accept connections; ``answer`` sends what it likes until the client is gone or the event is set."""
    stop = threading.Event()

    def serve(accepted: socket.socket) -> None:
        with suppress(OSError), tls.wrap_socket(accepted, server_side=True) if tls else accepted as connection:
            connection.recv(65536)
            answer(connection, stop)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while not stop.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def dripping(start: bytes, drip: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(start)
        while not stop.wait(0.1):
            connection.sendall(drip)

    return answer


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 O", b"K"),
        (_HEAD, b"X-More: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (_HEAD + _LENGTH, b" "),
        (_HEAD + _CHUNKED, b"1\r\n \r\n"),
        (_HEAD + _CHUNKED, b"0"),
        (_HEAD + _CHUNKED + b"0\r\n", b"X-More: 1\r\n"),
    ],
)
def test_dripped_response_times_out(start: bytes, drip: bytes) -> None:
    with raw_server(dripping(start, drip)) as url:
        transport = Transport(endpoint_at(url), response_seconds=_RESPONSE_SECONDS)
        began = time.monotonic()
        with pytest.raises(ApiUnreachable) as raised:
            transport.request("POST", "crons", Cron)
        assert time.monotonic() - began < DEADLINE  # without a limit, it would never end
    assert raised.value.code == "api-timeout"


def endless(start: bytes, piece: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def answer(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(start)
        while not stop.is_set():
            connection.sendall(piece)

    return answer


@pytest.mark.parametrize(
    ("start", "piece", "code"),
    [
        (_HEAD + _LENGTH, b" " * 65536, "response-too-large"),
        (_HEAD + _CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", "response-too-large"),
        (_HEAD + b"\r\n", b" " * 65536, "response-too-large"),
        (_REDIRECT + _LENGTH, b" " * 65536, "response-too-large"),
        (_HEAD + _CHUNKED, b"0" * 65536, "api-unreachable"),
        (b"HTTP/1.1 200 ", b"K" * 65536, "api-unreachable"),
        (_HEAD, b"X-More: 1\r\n" * 1000, "api-unreachable"),
    ],
)
def test_endless_response_is_cut_off(start: bytes, piece: bytes, code: str) -> None:
    with raw_server(endless(start, piece)) as url, pytest.raises(ApiUnreachable) as raised:
        Transport(endpoint_at(url), response_seconds=30).request("POST", "crons", Cron)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (_HEAD + _LENGTH, "response-too-large"),
        (_REDIRECT + _LENGTH, "response-too-large"),
        (b"HTTP/1.1 200 ", "function-unreachable"),
    ],
)
def test_endless_response_of_function_is_cut_off(start: bytes, code: str) -> None:
    request = InvocationRequest(method="GET", target="/", headers=(), body=b"")
    with raw_server(endless(start, b" " * 65536)) as url, pytest.raises(InvokeError) as raised:
        invoke_remote(PlatformInfo(version="1", gateway_url=url), FUNCTION, request)
    assert raised.value.code == code


def test_redirect_of_a_function_is_its_response() -> None:
    request = InvocationRequest(method="GET", target="/", headers=(), body=b"")
    redirect = ScriptedResponse(302, body=b"over there", headers={"Location": "/there"})
    with scripted_server(lambda _r, _n: redirect) as server:
        result = invoke_remote(PlatformInfo(version="1", gateway_url=server.url), FUNCTION, request)
    assert (result.response.status, result.response.body) == (302, b"over there")
    assert ("Location", "/there") in result.response.headers
    assert len(server.requests) == 1


def test_compressed_response_is_not_unpacked() -> None:
    bomb = zlib.compress(b" " * 10_000_000)
    answer = ScriptedResponse(body=bomb, headers={"Content-Encoding": "deflate"})
    with scripted_server(lambda _r, _n: answer) as server, FunctionsApi(endpoint_at(server.url)) as api:
        with pytest.raises(ApiUnreachable) as raised:
            api.crons.get("c")
    assert raised.value.code == "not-the-api"
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_upload_and_request_do_not_follow_redirects() -> None:
    with scripted_server(lambda _r, _n: ScriptedResponse()) as other:
        redirect = ScriptedResponse(307, headers={"Location": f"{other.url}/stolen"})
        with scripted_server(lambda _r, _n: redirect) as server, FunctionsApi(endpoint_at(server.url)) as api:
            with pytest.raises(ApiUnreachable) as uploaded:
                api.transport.upload(f"{server.url}/up", {}, io.BytesIO(b"code"), 4)
            with pytest.raises(ApiUnreachable) as requested:
                api.crons.get("c")
    assert {uploaded.value.code, requested.value.code} == {"redirected"}
    assert other.requests == []


def test_list_without_an_end_is_an_error() -> None:
    cron = {"id": "c", "function_id": "f", "schedule": "* * * * *", "args": {}, "status": "ready"}
    page = ScriptedResponse(body=json.dumps({"crons": [cron], "total_count": 10**9}).encode())

    def answer(_request: ReceivedRequest, _number: int) -> ScriptedResponse:
        return page

    with scripted_server(answer) as server, FunctionsApi(endpoint_at(server.url)) as api:
        with pytest.raises(ApiUnreachable) as raised:
            api.crons.list("f")
    assert raised.value.code == "endless-list"


def test_dripped_response_over_tls_times_out(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path, "authority")
    files = authority.sign("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    whole = _HEAD + b"Content-Length: 2\r\n\r\n{}"
    for answer, is_whole in ((dripping(_HEAD + _LENGTH, b" "), False), (dripping(whole, b""), True)):
        with raw_server(answer, tls) as url, requests.Session() as session:
            session.mount("https://", BoundedAdapter())
            response = session.get(url, verify=str(authority.file), timeout=_RESPONSE_SECONDS, stream=True)
            if is_whole:
                assert read_body(response) == b"{}"
            else:
                with pytest.raises(requests.ReadTimeout):
                    read_body(response)


def test_proxy_that_drips_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(dripping(_HEAD + _LENGTH, b" ")) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        transport = Transport(endpoint_at("http://functions.test"), response_seconds=_RESPONSE_SECONDS)
        with pytest.raises(ApiUnreachable) as raised:
            transport.request("POST", "crons", Cron)
    assert raised.value.code == "api-timeout"


@pytest.mark.parametrize(("header", "seconds"), [("5", 5), ("999999", 60)])
def test_retry_after_is_bounded(header: str, seconds: float) -> None:
    response = urllib3.HTTPResponse(headers={"Retry-After": header})
    assert BoundedRetry().get_retry_after(response) == seconds
