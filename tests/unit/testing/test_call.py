"""Events and calls of handlers in the tests of a project follow the rules of the platform."""

from __future__ import annotations

import base64

import pytest

from fnkit import Context, Event
from fnkit.testing import call, make_context, make_event


def test_event_has_every_field_of_a_real_one() -> None:
    event = make_event("/a b?x=1", query={"y": "2 3"}, headers={"x-token": "t"}, body="text")
    assert event == {
        "resource": "",
        "path": "/a b",
        "httpMethod": "POST",
        "headers": {"X-Token": "t"},
        "multiValueHeaders": None,
        "queryStringParameters": {"x": "1", "y": "2 3"},
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
        "body": "text",
        "isBase64Encoded": True,
    }


@pytest.mark.parametrize(
    ("event", "method", "body", "content_type"),
    [
        (make_event(), "GET", "", None),
        (make_event(method="put"), "PUT", "", None),
        (make_event(json_body={"a": 1}), "POST", '{"a": 1}', "application/json"),
        (make_event(json_body=0, headers={"content-type": "text/x"}), "POST", "0", "text/x"),
        (make_event(body=b"\xff"), "POST", "\ufffd", None),
    ],
)
def test_method_and_content_type_have_defaults(
    event: Event, method: str, body: str, content_type: str | None
) -> None:
    assert (event["httpMethod"], event["body"]) == (method, body)
    assert event["headers"].get("Content-Type") == content_type


def test_structured_response_is_mapped() -> None:
    def handler(_event: Event, _context: Context) -> object:
        return {"statusCode": 201, "headers": {"x-a": ["1", "2"]}, "body": {"b": 1}}

    response = call(handler)
    assert (response.status, response.json(), response.header("X-A")) == (201, {"b": 1}, "1")
    assert [value for name, value in response.headers if name == "X-A"] == ["1", "2"]


def test_binary_body_is_decoded() -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()
    assert call(lambda _event, _context: {"isBase64Encoded": True, "body": encoded}).body == b"\x00\xff"


@pytest.mark.parametrize(("returned", "text"), [("plain", "plain"), ({"a": 1}, '{"a":1}\n'), (None, "")])
def test_any_value_is_a_response(returned: object, text: str) -> None:
    assert call(lambda _event, _context: returned).text == text


def test_handler_gets_a_copy_that_went_through_json() -> None:
    event = make_event()

    def handler(passed: Event, context: Context) -> str:
        passed["path"] = "/changed"
        return context["functionName"]

    assert call(handler, event, make_context("books")).text == "books"
    assert event["path"] == "/"


def test_exception_is_raised_or_becomes_the_response() -> None:
    def handler(_event: Event, _context: Context) -> str:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        call(handler)
    response = call(handler, catch=True)
    assert (response.status, response.text) == (
        500,
        "An error occured during handler execution: no such order\n",
    )
