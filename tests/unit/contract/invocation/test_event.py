"""The event passed to a handler, field by field (``docs/handlers.md``)."""

from __future__ import annotations

import pytest

from fnkit.contract.invocation.event import build_context, build_event, canonical_header, decode_path, is_base64


def event(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {"method": "GET", "path": "/", "query": "", "headers": [], "body": b"", **changes}
    return build_event(**values)  # type: ignore[arg-type]  # tests pass the arguments that they change


def test_event_has_every_documented_field() -> None:
    assert event(
        method="POST",
        path="/user/",
        query="a=1&a=2&b=x%20y+z",
        headers=[("x-request-id", "7"), ("content-type", "text/plain"), ("X-REQUEST-ID", "8"), ("host", "h")],
        body=b"hello!",
    ) == {
        "resource": "",
        "path": "/user/",
        "httpMethod": "POST",
        "headers": {"X-Request-Id": "7,8", "Content-Type": "text/plain"},
        "multiValueHeaders": None,
        "queryStringParameters": {"a": "2", "b": "x y z"},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": {},
        "requestContext": {
            "accountId": "",
            "resourceId": "",
            "stage": "",
            "requestId": "",
            "resourcePath": "",
            "authorizer": None,
            "httpMethod": "POST",
            "apiId": "",
        },
        "body": "hello!",
    }


@pytest.mark.parametrize("body", [b"", b"test", b"abcd", b"YQ==", b"YW Jj"[:2] + b"Jj", b"YW\nJj"])
def test_body_that_decodes_as_base64_is_flagged(body: bytes) -> None:
    assert event(body=body)["isBase64Encoded"] is True


@pytest.mark.parametrize("body", [b"tes", b"YQ=", b"a b ", b"{}", b"YQ===", b"=YQ=", "é".encode(), b"\n\n\n\na"])
def test_body_that_is_not_base64_has_no_flag(body: bytes) -> None:
    assert "isBase64Encoded" not in event(body=body)
    assert not is_base64(body)


def test_each_invalid_utf8_byte_becomes_a_replacement_character() -> None:
    assert event(body=b"a\xe2\x82b\xff")["body"] == "a��b�"


def test_query_pair_that_go_cannot_parse_is_omitted() -> None:
    assert event(query="a=%zz&b=1&c&=d&;e=1&&f=%41")["queryStringParameters"] == {
        "b": "1",
        "c": "",
        "": "d",
        "f": "A",
    }


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("x-request-id", "X-Request-Id"), ("ETAG", "Etag"), ("a", "A"), ("not a token", "not a token"), ("", "")],
)
def test_header_name_is_canonicalized_as_in_go(name: str, canonical: str) -> None:
    assert canonical_header(name) == canonical


def test_path_is_decoded_and_an_invalid_escape_is_rejected() -> None:
    assert decode_path("/a%20b+c%2Fd%C3%A9") == "/a b+c/dé"
    with pytest.raises(ValueError, match="escape"):
        decode_path("/%zz")


def test_context_has_memory_limit_name_and_version() -> None:
    assert build_context(memory_limit=256, function_name="shop") == {
        "memoryLimitInMb": 256,
        "functionName": "shop",
        "functionVersion": "",
    }
