"""The shapes a handler meets: the event, the context, and what it may return (``docs/handlers.md``).

Source of the fields: the core runtime's ``framework/core/http.go`` and ``events/context.go``. Crons and
triggers arrive as the same event: a POST to ``/`` whose body is the cron's ``args`` or the message.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = ["Context", "Event", "RequestContext", "Response"]


class RequestContext(TypedDict):
    """Part of the event, empty but for the method (the core runtime fills nothing else in)."""

    accountId: str
    resourceId: str
    stage: str
    requestId: str
    resourcePath: str
    authorizer: None
    httpMethod: str
    apiId: str


class Event(TypedDict):
    """One HTTP request as a handler sees it.

    headers: names in Go's canonical form (``Content-Type``), repeated ones joined with ``,``.
    queryStringParameters: the last value wins. body: the request's body as text. isBase64Encoded: there, and
    true, when the body happens to decode as base64 (``""`` and ``"test"`` do); the platform encodes nothing.
    """

    resource: str
    path: str
    httpMethod: str
    headers: dict[str, str]
    multiValueHeaders: None
    queryStringParameters: dict[str, str]
    multiValueQueryStringParameters: None
    pathParameters: None
    stageVariables: dict[str, str]
    requestContext: RequestContext
    body: str
    isBase64Encoded: NotRequired[bool]


class Context(TypedDict):
    """What a handler may know of itself. There is no remaining time and no request id in it."""

    memoryLimitInMb: int
    functionName: str
    functionVersion: str


class Response(TypedDict, total=False):
    """A structured answer; a plain string, or anything JSON can say, is one too.

    body: a string is sent as it is, ``None`` as nothing, anything else as JSON; with ``isBase64Encoded`` it is
    base64 text whose bytes are sent.
    """

    statusCode: int
    headers: dict[str, str | list[str]]
    body: object
    isBase64Encoded: bool
