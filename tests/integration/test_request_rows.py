"""Rows of the data plane's contract that no other test asks for over a real socket: events, answers, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.http_response import HttpResponse

ECHO = "def handle(event, context):\n    return {'body': event}\n"

ANSWERS = """
RETURNS = {
    "number-body": {"body": 5},
    "null-body": {"body": None, "statusCode": 202},
    "text-status": {"statusCode": "201", "body": "x"},
    "capitals": {"StatusCode": 203, "BODY": "x"},
    "bad-base64": {"body": "not base64!", "isBase64Encoded": True},
    "empty-base64": {"body": "", "isBase64Encoded": True},
    "one-cors": {"body": "", "headers": {"Access-Control-Allow-Origin": "https://shop.example"}},
    "methods": {"body": "", "headers": {"Access-Control-Allow-Methods": "PUT"}},
    "both-types": {"body": "", "headers": {"content-type": "text/css"}},
    "one-type": {"body": "", "headers": {"Content-Type": "text/css"}},
    "mixed-headers": {"body": "", "headers": {"X-One": "1", "X-List": ["a", "b"], "X-None": [], "X-Bad": 5}},
    "bodiless": {"body": "x", "statusCode": 204},
    "bad-status": {"body": "x", "statusCode": 1000},
    "long-status": {"body": "x", "statusCode": 2**70},
    "endless-status": '{"body": "x", "statusCode": ' + "9" * 100000 + "}",
    "smuggled": {"body": "", "headers": {"X-A": "1\\r\\nX-B: 2", "X-Nul": "a\\0b", "Bad Name": "x",
                                         "Content-Length": "99"}},
    "whole": {"message": "m", "headers": {"X-A": "1"}},
}

def handle(event, context):
    return RETURNS[event["path"][1:]]
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("echo", ECHO)
        running.deploy("answers", ANSWERS)
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


def test_a_bare_get_has_every_field_and_no_other(plane: DataPlaneProcess) -> None:
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
def test_the_base64_flag_is_there_when_the_body_happens_to_be_some(
    plane: DataPlaneProcess, body: bytes, *, flag: bool | None
) -> None:
    found = event(plane, body=body)
    assert (found.get("isBase64Encoded"), found["body"]) == (flag, body.decode())


def test_bytes_that_are_no_text_are_lost_one_by_one(plane: DataPlaneProcess) -> None:
    assert event(plane, body=b"a\xff\xfeb\x00")["body"] == "a\ufffd\ufffdb\x00"


def test_the_last_value_of_a_parameter_wins_and_escapes_are_decoded(plane: DataPlaneProcess) -> None:
    found = event(plane, "/%C3%A9/?a=1&a=%202+3&b&=x&%zz=1")
    assert found["path"] == "/é/"
    assert found["queryStringParameters"] == {"a": " 2 3", "b": "", "": "x"}


def test_repeated_headers_are_joined_under_one_name_as_go_spells_it(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test\r\nx-thing: 1\r\nX-THING: 2\r\nx_odd: 3\r\nConnection: close\r\n\r\n"
    )
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert (headers["X-Thing"], headers["X_odd"]) == ("1,2", "3")
    assert "Host" not in headers


def test_blanks_around_a_value_are_no_part_of_it(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test \t\r\nX-A: \t a b \t \r\nX-B:  \r\nConnection: close\r\n\r\n"
    )
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert (headers["X-A"], headers["X-B"]) == ("a b", "")


def test_every_proxy_on_the_way_is_named_in_order(plane: DataPlaneProcess) -> None:
    lines = b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n"
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + lines + b"Connection: close\r\n\r\n")
    headers = json.loads(raw.partition(b"\r\n\r\n")[2])["headers"]
    assert headers["X-Forwarded-For"] == "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"


@pytest.mark.parametrize("name", ["Proxy", "Proxy-Authorization", "Proxy-Connection"])
def test_what_is_meant_for_a_proxy_does_not_reach_the_handler(plane: DataPlaneProcess, name: str) -> None:
    headers = event(plane, headers={name: "x"})["headers"]
    assert isinstance(headers, dict)
    assert name not in headers


def test_what_concerns_the_connection_alone_does_not_reach_the_handler(plane: DataPlaneProcess) -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: echo.test\r\nConnection: close, TE\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
        b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nX-Mine: 1\r\n\r\n"
    )
    raw = plane.send_raw(head + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    found = json.loads(raw.rpartition(b"\r\n\r\n")[2])
    own = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "X-Envoy-External-Address"}
    assert (found["headers"].keys(), found["body"]) == (own | {"X-Mine"}, "hi")


def test_a_request_id_is_made_where_there_is_none_and_a_strange_one_replaced(plane: DataPlaneProcess) -> None:
    made = {event(plane)["headers"]["X-Request-Id"] for _ in range(3)}  # type: ignore[index]  # a dict, see above
    assert len(made) == 3
    strange = event(plane, headers={"X-Request-Id": "x" * 200})["headers"]
    assert isinstance(strange, dict)
    assert len(strange["X-Request-Id"]) == 36


# What the core runtime answers itself (§1.2)


@pytest.mark.parametrize("path", ["/favicon.ico/", "/x/favicon.ico", "/robots.txt?", "/Robots.txt"])
def test_favicon_and_robots_are_refused_under_exactly_these_paths(plane: DataPlaneProcess, path: str) -> None:
    assert plane.call("echo", path).status == (404 if path == "/robots.txt?" else 200)


def test_a_chunked_body_over_the_declared_limit_passes(plane: DataPlaneProcess) -> None:
    chunk = b"700000\r\n" + b"x" * 0x700000 + b"\r\n0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: size.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    plane.deploy("size", "def handle(event, context):\n    return len(event['body'])\n")
    assert plane.send_raw(head + chunk).endswith(b"7340032\n")


def test_a_preflight_is_the_handlers_and_has_the_two_defaults(plane: DataPlaneProcess) -> None:
    reply = plane.call(
        "echo", method="OPTIONS", headers={"Origin": "https://a", "Access-Control-Request-Method": "PUT"}
    )
    assert reply.status == 200
    assert lines(reply, "Access-Control-Allow-Origin") == ["*"]
    assert lines(reply, "Access-Control-Allow-Headers") == ["Content-Type"]
    assert lines(reply, "Access-Control-Allow-Methods") == []
    assert plane.call("answers", "/methods", method="OPTIONS").headers["Access-Control-Allow-Methods"] == "PUT"


def test_a_head_has_the_length_of_the_answer_and_no_body(plane: DataPlaneProcess) -> None:
    length = len(plane.call("answers", "/whole").body)
    with plane.connect() as peer:
        for _ in range(2):
            peer.sendall(b"HEAD /whole HTTP/1.1\r\nHost: answers.test\r\n\r\n")
            answer = peer.recv(65536)
            assert answer.endswith(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % length in answer


# The answer (§1.5)


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        ("number-body", 200, b"5"),
        ("null-body", 202, b""),
        ("text-status", 200, b"x"),
        ("capitals", 203, b"x"),
        ("bad-base64", 500, b"illegal base64 data at input byte 3"),
        ("empty-base64", 200, b""),
        ("bodiless", 204, b""),
        ("bad-status", 500, b"invalid WriteHeader code 1000"),
        ("long-status", 200, b"x"),
        ("endless-status", 200, b"x"),
        ("whole", 200, b'{"headers":{"X-A":"1"},"message":"m"}\n'),
    ],
)
def test_an_object_is_read_field_by_field(plane: DataPlaneProcess, returned: str, status: int, body: bytes) -> None:
    reply = plane.call("answers", f"/{returned}")
    assert (reply.status, reply.body if returned != "whole" else body) == (status, body)
    if returned == "whole":
        assert reply.json() == {"message": "m", "headers": {"X-A": "1"}}
        assert lines(reply, "X-A") == ["1"]


def test_a_handlers_headers_replace_add_and_cannot_break_out(plane: DataPlaneProcess) -> None:
    assert lines(plane.call("answers", "/one-cors"), "Access-Control-Allow-Origin") == ["https://shop.example"]
    assert lines(plane.call("answers", "/one-cors"), "Access-Control-Allow-Headers") == ["Content-Type"]
    assert lines(plane.call("answers", "/one-type"), "Content-Type") == ["text/css"]
    assert lines(plane.call("answers", "/both-types"), "Content-Type") == ["application/json", "text/css"]
    mixed = plane.call("answers", "/mixed-headers")
    assert (lines(mixed, "X-One"), lines(mixed, "X-List")) == (["1"], ["a", "b"])
    assert lines(mixed, "X-None") == lines(mixed, "X-Bad") == []
    smuggled = plane.call("answers", "/smuggled")
    assert lines(smuggled, "X-A") == ["1  X-B: 2"]
    assert lines(smuggled, "X-Nul") == ["a b"]
    assert lines(smuggled, "X-B") == lines(smuggled, "Bad Name") == []
    assert smuggled.headers["Content-Length"] == "0"


# The gateway's errors (§5.1)


@pytest.mark.parametrize("host", ["nobody.test", "echo.test"])
@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
def test_every_answer_says_envoy(plane: DataPlaneProcess, host: str, path: str) -> None:
    assert plane.call("echo", path, host=host).headers["Server"] == "envoy"


def test_a_request_without_a_host_is_nobodys(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert raw.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))


def test_http_1_0_is_a_426_before_anything_wakes(plane: DataPlaneProcess) -> None:
    route = plane.deploy("old", "def handle(event, context):\n    print('called')\n    return 'x'\n")
    for version in (b"1.0",):
        raw = plane.send_raw(b"GET / HTTP/%b\r\nHost: old.test\r\nConnection: keep-alive\r\n\r\n" % version)
        assert raw.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nconnection: close\r\n" in raw
    assert [line for line in plane.log_lines(route) if line.message == "called"] == []
