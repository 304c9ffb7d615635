"""The mapping of a handler's return value to a response, row by row (``docs/handlers.md``)."""

from __future__ import annotations

import json

import pytest

from fnkit.contract.invocation.response import CORS_DEFAULTS, immediate_response, map_failure, map_response

JSON = [("content-type", "application/json")]
TEXT = [("content-type", "text/html; charset=utf-8")]
NO_STRING = b"json: cannot unmarshal %b into Go value of type string\n"
ERROR_HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]


def headers_of(body: bytes, name: str) -> list[str]:
    return [value for key, value in map_response(200, JSON, body).headers if key == name]


@pytest.mark.parametrize(
    ("output", "status", "body"),
    [
        (b"hello", 200, b"hello"),
        (b'{"body":{"a":1},"statusCode":200}\n', 200, b'{"a":1}'),
        (b'{"message":"m"}\n', 200, b'{"message":"m"}\n'),
        (b'{"statusCode":404}\n', 404, b'{"statusCode":404}\n'),
        (b"null\n", 200, b""),
        (b"5\n", 200, b"5\n"),
        (b"true\n", 200, b"true\n"),
        (b"[1,2]\n", 200, b"[1,2]\n"),
        (b'{"body":5}', 200, b"5"),
        (b'{"body":null}', 200, b""),
        (b'"q"', 200, b"q"),
        (b'{"statusCode":"201","body":"x"}', 200, b"x"),
        (b'{"statusCode":201.0,"body":"x"}', 200, b"x"),
        (b'{"statusCode":null,"body":"x"}', 200, b"x"),
        (b'{"STATUScode":201,"BODY":"x"}', 201, b"x"),
        (b'{"statusCode":201,"body":"x"', 200, b'{"statusCode":201,"body":"x"'),
        (b'{"statusCode":204,"body":"x"}', 204, b""),
        (b'{"statusCode":99,"body":"x"}', 500, b"invalid WriteHeader code 99\n"),
        (b'{"statusCode":1000,"body":"x"}', 500, b"invalid WriteHeader code 1000\n"),
        (b'{"body":"aGk=","isBase64Encoded":true}', 200, b"hi"),
        (b'{"body":"aG\\r\\nk=","isBase64Encoded":true}', 200, b"hi"),
        (b'{"body":"a*k=","isBase64Encoded":true}', 500, b"illegal base64 data at input byte 1\n"),
        (b'{"body":{"a":1},"isBase64Encoded":true}', 500, NO_STRING % b"object"),
        (b'{"a":1,"isBase64Encoded":true}', 500, NO_STRING % b"object"),
        (b' {"a":1,"isBase64Encoded":true}', 500, NO_STRING % b"object"),
        (b'{"body":["aGk="],"isBase64Encoded":true}', 500, NO_STRING % b"array"),
        (b'{"body":-5.0,"isBase64Encoded":true}', 500, NO_STRING % b"number"),
        (b'{"body":false,"isBase64Encoded":true}', 500, NO_STRING % b"bool"),
        (b'{"body":null,"isBase64Encoded":true}', 200, b""),
        (b'{"body":"","isBase64Encoded":true}', 200, b""),
        (b'{"body":"aGk=","isBase64Encoded":"true"}', 200, b"aGk="),
        (b'{"body":"\\ud800x"}', 200, "�x".encode()),
        (b'{"body":"\xffx"}', 200, "�x".encode()),
        (b'  {"body":"x"}', 200, b"x"),
        (b"", 200, b""),
        (b'{"body":NaN}', 200, b'{"body":NaN}'),
    ],
)
def test_handler_output_maps_to_status_and_body(output: bytes, status: int, body: bytes) -> None:
    mapped = map_response(200, JSON, output)
    assert (mapped.status, mapped.body) == (status, body)


def test_worker_status_is_kept_without_a_status_code() -> None:
    assert map_response(201, TEXT, b"made").status == 201


def test_cors_defaults_come_first_on_success_and_failure() -> None:
    assert tuple(map_response(200, TEXT, b"x").headers[:2]) == CORS_DEFAULTS
    assert tuple(map_failure("boom").headers[:2]) == CORS_DEFAULTS


def test_cors_header_of_the_handler_replaces_only_its_default() -> None:
    body = b'{"headers":{"access-control-allow-origin":"https://a.test"},"body":""}'
    assert headers_of(body, "Access-Control-Allow-Origin") == ["https://a.test"]
    assert headers_of(body, "Access-Control-Allow-Headers") == ["Content-Type"]


def test_list_of_header_values_yields_one_header_per_value() -> None:
    assert headers_of(b'{"headers":{"X-A":["1","2"],"X-B":"3"},"body":""}', "X-A") == ["1", "2"]
    assert headers_of(b'{"headers":{"X-A":["1","2"],"X-B":"3"},"body":""}', "X-B") == ["3"]


def test_header_values_that_are_no_strings_become_empty() -> None:
    body = b'{"headers":{"X-A":[],"X-B":5,"X-C":null,"X-D":{"d":"d"},"X-E":["e",7,null]},"body":""}'
    assert [headers_of(body, f"X-{letter}") for letter in "ABCDE"] == [[""], [""], [""], [""], ["e", "", ""]]


def test_empty_cors_header_replaces_its_default() -> None:
    assert headers_of(b'{"headers":{"access-control-allow-origin":[]}}', "Access-Control-Allow-Origin") == [""]


@pytest.mark.parametrize("headers", ["[]", "5", '"X-A: a"', '[["X-A","a"]]'])
def test_headers_member_of_another_type_is_ignored(headers: str) -> None:
    mapped = map_response(200, JSON, b'{"headers":%b,"body":"<html> "}' % headers.encode())
    assert mapped.headers == [*CORS_DEFAULTS, ("Content-Type", "application/json")]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('"<p>Hello</p>"', ["text/html; charset=utf-8"]),
        ('"Hello"', ["text/plain; charset=utf-8"]),
        ('{"a":1}', ["text/plain; charset=utf-8"]),
        (r'"\u0000"', ["application/octet-stream"]),
        ('""', []),
        ("null", []),
    ],
)
def test_null_headers_drop_the_workers_and_the_content_type_is_detected(body: str, content_type: list[str]) -> None:
    mapped = map_response(200, [*JSON, ("x-worker", "1")], b'{"headers":null,"body":%b}' % body.encode())
    assert mapped.headers == [*CORS_DEFAULTS, *(("Content-Type", value) for value in content_type)]


def test_headers_beside_null_headers_are_sent() -> None:
    assert map_response(200, JSON, b'{"headers":null,"Headers":{"X-A":"a"},"body":""}').headers[2:] == [
        ("X-A", "a")
    ]
    assert map_response(200, JSON, b'{"Headers":{"X-A":"a"},"headers":null,"body":""}').headers[2:] == []


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ([], b"\x89PNG\r\n\x1a\n", [("Content-Type", "image/png")]),
        ([], b"", []),
        ([("content-type", "")], b"x", [("Content-Type", "")]),
        ([("content-encoding", "gzip")], b"x", [("Content-Encoding", "gzip")]),
        (
            [("content-encoding", "")],
            b"x",
            [("Content-Encoding", ""), ("Content-Type", "text/plain; charset=utf-8")],
        ),
    ],
    ids=["no type", "no body", "empty type", "encoded", "empty encoding"],
)
def test_content_type_is_detected_without_type_and_encoding(
    headers: list[tuple[str, str]], body: bytes, expected: list[tuple[str, str]]
) -> None:
    assert map_response(200, headers, body).headers == [*CORS_DEFAULTS, *expected]


def test_content_type_replaces_the_default_only_in_canonical_case() -> None:
    assert headers_of(b'{"headers":{"Content-Type":"a/b"},"body":""}', "Content-Type") == ["a/b"]
    added = headers_of(b'{"headers":{"content-type":"a/b"},"body":""}', "Content-Type")
    assert added == ["application/json", "a/b"]


def test_header_value_cannot_inject_another_header() -> None:
    assert headers_of(b'{"headers":{"X-A":"1\\r\\nX-B: 2"},"body":""}', "X-A") == ["1  X-B: 2"]
    assert headers_of(b'{"headers":{"X-A: 1\\r\\nX-B":"2"},"body":""}', "X-B") == []


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "server"])
def test_handler_cannot_set_connection_headers(name: str) -> None:
    body = b'{"headers":{"%b":"7"},"body":""}' % name.encode()
    assert "7" not in [value for _, value in map_response(200, JSON, body).headers]


def test_failure_is_a_500_with_the_message_of_the_runtime() -> None:
    assert map_failure("boom").status == 500
    assert map_failure("boom").body == b"An error occured during handler execution: boom\n"
    assert map_failure("boom").headers == [*CORS_DEFAULTS, *ERROR_HEADERS]


def test_invalid_base64_keeps_the_headers_of_the_handler() -> None:
    headers = (
        b'{"X-A":"a","Content-Type":"image/png","x-content-type-options":"","access-control-allow-origin":"b"}'
    )
    mapped = map_response(200, JSON, b'{"headers":%b,"body":"*","isBase64Encoded":true}' % headers)
    assert mapped.status == 500
    own = [("Access-Control-Allow-Headers", "Content-Type"), ("X-A", "a"), ("Access-Control-Allow-Origin", "b")]
    assert mapped.headers == [*own, *ERROR_HEADERS]


@pytest.mark.parametrize(
    ("path", "length", "trigger", "favicon", "status", "text"),
    [
        ("/favicon.ico", 0, "", "", 404, ""),
        ("/robots.txt", 0, "", "true", 404, ""),
        ("/", 6291457, "", "", 413, "request payload too large, max payload size = 6291456 bytes\n"),
        ("/", 0, "mqtt", "", 400, "trigger Type is not supported by Scaleway Functions Runtime\n"),
        ("/robots.txt", 6291457, "mqtt", "", 404, ""),
    ],
)
def test_runtime_rejects_request_without_calling_the_handler(
    path: str, length: int, trigger: str, favicon: str, status: int, text: str
) -> None:
    response = immediate_response(path, length, trigger, favicon)
    assert response is not None
    assert (response.status, response.body) == (status, text.encode())
    assert response.headers == [*CORS_DEFAULTS, *(ERROR_HEADERS if text else [])]


@pytest.mark.parametrize(
    ("path", "length", "trigger", "favicon"),
    [
        ("/", 6291456, "", ""),
        ("/favicon.ico", 0, "", "true"),
        ("/a/favicon.ico", 0, "", ""),
        ("/favicon.ico/", 0, "", ""),
        ("/", 0, "http", ""),
    ],
)
def test_runtime_passes_request_to_the_handler(path: str, length: int, trigger: str, favicon: str) -> None:
    assert immediate_response(path, length, trigger, favicon) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({f"x-{number}": "" for number in range(100)}, 200),
        ({f"x-{number}": "" for number in range(101)}, 502),
        ({"set-cookie": [""] * 100}, 200),
        ({"set-cookie": [""] * 60, "x": [""] * 41}, 502),
        ({"x": "a" * (60 * 1024 - 1)}, 200),
        ({"x": "a" * (60 * 1024)}, 502),
    ],
    ids=["100 headers", "101 headers", "100 values", "101 values", "60 KiB", "more than 60 KiB"],
)
def test_more_headers_than_envoy_accepts_are_a_502(headers: dict[str, object], status: int) -> None:
    response = map_response(200, [], json.dumps({"headers": headers, "body": "x"}).encode())
    assert response.status == status
    assert (response.body == b"x") == (status == 200)
