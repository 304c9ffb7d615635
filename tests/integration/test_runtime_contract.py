"""Parts of the runtime contract that no other test covers over a real socket: events, responses, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_cases import DOCUMENT_HANDLER, RETURNED_DOCUMENTS
from tests.support.http_response import HttpResponse

ECHO = "def handle(event, context):\n    return {'body': event}\n"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("echo", ECHO)
        running.deploy("returns", DOCUMENT_HANDLER)
        yield running


def event(
    plane: DataPlaneProcess, path: str = "/", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, object]:
    method = "GET" if body is None else "POST"
    found = plane.call("echo", path, method=method, body=body, headers=headers).json()
    assert isinstance(found, dict)
    return found


def lines(reply: HttpResponse, name: str) -> list[str]:
    return [value for key, value in reply.headers.items() if key == name]


# The event (§1.3)


def test_bare_get_event_has_exactly_the_specified_fields(plane: DataPlaneProcess) -> None:
    found = event(plane)
    headers = found.pop("headers")
    assert found == {
        "resource": "",
        "path": "/",
        "httpMethod": "GET",
        "multiValueHeaders": None,
        "queryStringParameters": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": {},
        "requestContext": {
            **dict.fromkeys(("accountId", "resourceId", "stage", "requestId", "resourcePath", "apiId"), ""),
            "authorizer": None,
            "httpMethod": "GET",
        },
        "body": "",
        "isBase64Encoded": True,
    }
    assert isinstance(headers, dict)
    assert set(headers) == {
        *("Accept-Encoding", "X-Envoy-External-Address", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id")
    }


@pytest.mark.parametrize(
    ("body", "flag"),
    [(b"test", True), (b"abcd", True), (b"dGU=", True), (b"YWJj\nZGVm", True), (b"te", None), (b"a b=", None)],
)
def test_base64_flag_is_set_when_body_is_valid_base64(
    plane: DataPlaneProcess, body: bytes, *, flag: bool | None
) -> None:
    found = event(plane, body=body)
    assert (found.get("isBase64Encoded"), found["body"]) == (flag, body.decode())


def test_invalid_utf8_bytes_become_replacement_characters(plane: DataPlaneProcess) -> None:
    assert event(plane, body=b"a\xff\xfeb\x00")["body"] == "a\ufffd\ufffdb\x00"


def test_last_query_value_wins_and_escapes_are_decoded(plane: DataPlaneProcess) -> None:
    found = event(plane, "/%C3%A9/?a=1&a=%202+3&b&=x&%zz=1")
    assert found["path"] == "/é/"
    assert found["queryStringParameters"] == {"a": " 2 3", "b": "", "": "x"}


def test_repeated_headers_are_joined_under_go_canonical_name(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test\r\nx-thing: 1\r\nX-THING: 2\r\nx_odd: 3\r\nConnection: close\r\n\r\n"
    )
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert (headers["X-Thing"], headers["X_odd"]) == ("1,2", "3")
    assert "Host" not in headers


def test_header_value_whitespace_is_trimmed(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test \t\r\nX-A: \t a b \t \r\nX-B:  \r\nConnection: close\r\n\r\n"
    )
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert (headers["X-A"], headers["X-B"]) == ("a b", "")


def test_forwarded_for_lists_every_proxy_in_order(plane: DataPlaneProcess) -> None:
    lines = b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n"
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + lines + b"Connection: close\r\n\r\n")
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert headers["X-Forwarded-For"] == "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"


@pytest.mark.parametrize("name", ["Proxy", "Proxy-Authorization", "Proxy-Connection"])
def test_proxy_headers_do_not_reach_the_handler(plane: DataPlaneProcess, name: str) -> None:
    headers = event(plane, headers={name: "x"})["headers"]
    assert isinstance(headers, dict)
    assert name not in headers


def test_hop_by_hop_headers_do_not_reach_the_handler(plane: DataPlaneProcess) -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: echo.test\r\nConnection: close, TE\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
        b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Mine: 1\r\n\r\n"
    )
    raw = plane.send_raw(head + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    found = json.loads(raw.rpartition(b"\r\n\r\n")[2])
    own = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "X-Envoy-External-Address"}
    assert (found["headers"].keys(), found["body"]) == (own | {"X-Mine"}, "hi")


def test_missing_or_invalid_request_id_is_generated(plane: DataPlaneProcess) -> None:
    made = {event(plane)["headers"]["X-Request-Id"] for _ in range(3)}  # type: ignore[index]  # a dict, see above
    assert len(made) == 3
    replaced = event(plane, headers={"X-Request-Id": "x" * 200})["headers"]
    assert isinstance(replaced, dict)
    assert len(replaced["X-Request-Id"]) == 36


# Responses of the core runtime (§1.2)


@pytest.mark.parametrize("path", ["/favicon.ico/", "/x/favicon.ico", "/robots.txt?", "/Robots.txt"])
def test_favicon_and_robots_are_404_only_at_exact_paths(plane: DataPlaneProcess, path: str) -> None:
    assert plane.call("echo", path).status == (404 if path == "/robots.txt?" else 200)


def test_chunked_body_over_content_length_limit_is_accepted(plane: DataPlaneProcess) -> None:
    chunk = b"700000\r\n" + b"x" * 0x700000 + b"\r\n0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: size.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    plane.deploy("size", "def handle(event, context):\n    return len(event['body'])\n")
    assert plane.send_raw(head + chunk).endswith(b"7340032\n")


def test_preflight_reaches_handler_with_default_cors_headers(plane: DataPlaneProcess) -> None:
    reply = plane.call(
        "echo", method="OPTIONS", headers={"Origin": "https://a", "Access-Control-Request-Method": "PUT"}
    )
    assert reply.status == 200
    assert lines(reply, "Access-Control-Allow-Origin") == ["*"]
    assert lines(reply, "Access-Control-Allow-Headers") == ["Content-Type"]
    assert lines(reply, "Access-Control-Allow-Methods") == []
    assert plane.call("returns", "/methods", method="OPTIONS").headers["Access-Control-Allow-Methods"] == "PUT"


def test_head_response_has_content_length_and_no_body(plane: DataPlaneProcess) -> None:
    length = len(plane.call("returns", "/whole").body)
    with plane.connect() as peer:
        for _ in range(2):
            peer.sendall(b"HEAD /whole HTTP/1.1\r\nHost: returns.test\r\n\r\n")
            answer = peer.recv(65536)
            assert answer.endswith(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % length in answer


# The response (§1.5)


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    RETURNED_DOCUMENTS,
)
def test_returned_object_fields_form_the_response(
    plane: DataPlaneProcess, returned: str, status: int, body: bytes
) -> None:
    reply = plane.call("returns", f"/{returned}")
    assert (reply.status, reply.body if returned != "whole" else body) == (status, body)
    if returned == "whole":
        assert reply.json() == {"message": "m", "headers": {"X-A": "1"}}
        assert lines(reply, "X-A") == ["1"]


def test_handler_headers_override_defaults_and_are_sanitized(plane: DataPlaneProcess) -> None:
    assert lines(plane.call("returns", "/one-cors"), "Access-Control-Allow-Origin") == ["https://shop.example"]
    assert lines(plane.call("returns", "/one-cors"), "Access-Control-Allow-Headers") == ["Content-Type"]
    assert lines(plane.call("returns", "/one-type"), "Content-Type") == ["text/css"]
    assert lines(plane.call("returns", "/both-types"), "Content-Type") == ["application/json", "text/css"]
    mixed = plane.call("returns", "/mixed-headers")
    assert (lines(mixed, "X-One"), lines(mixed, "X-List")) == (["1"], ["a", "b"])
    assert lines(mixed, "X-None") == lines(mixed, "X-Bad") == [""]
    smuggled = plane.call("returns", "/smuggled")
    assert lines(smuggled, "X-A") == ["1  X-B: 2"]
    assert lines(smuggled, "X-Nul") == ["a b"]
    assert lines(smuggled, "X-B") == lines(smuggled, "Bad Name") == []
    assert smuggled.headers["Content-Length"] == "0"


# The gateway's errors (§5.1)


@pytest.mark.parametrize("host", ["unknown.test", "echo.test"])
@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
def test_every_response_has_server_envoy(plane: DataPlaneProcess, host: str, path: str) -> None:
    assert plane.call("echo", path, host=host).headers["Server"] == "envoy"


def test_request_without_host_returns_400_or_404(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert raw.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))


def test_http_1_0_returns_426_without_calling_the_handler(plane: DataPlaneProcess) -> None:
    route = plane.deploy("old", "def handle(event, context):\n    print('called')\n    return 'x'\n")
    for version in (b"1.0",):
        raw = plane.send_raw(b"GET / HTTP/%b\r\nHost: old.test\r\nConnection: keep-alive\r\n\r\n" % version)
        assert raw.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nconnection: close\r\n" in raw
    assert [line for line in plane.log_lines(route) if line.message == "called"] == []
